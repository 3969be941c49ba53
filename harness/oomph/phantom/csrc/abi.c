/* abi.c - layouts.h held against NVIDIA's headers: it compiles, or it names what differs. */
#include <stddef.h>
#include <driver_types.h>
#include <cuda.h>
#include "layouts.h"

#define SAME(field) _Static_assert(offsetof(struct properties, field) == offsetof(struct cudaDeviceProp, field), #field)
SAME(totalGlobalMem); SAME(maxGridSize); SAME(major); SAME(multiProcessorCount); SAME(concurrentKernels);
SAME(pciBusID); SAME(l2CacheSize);
SAME(maxThreadsPerMultiProcessor); SAME(sharedMemPerMultiprocessor); SAME(managedMemory);
SAME(cooperativeLaunch); SAME(sharedMemPerBlockOptin); SAME(maxBlocksPerMultiProcessor);
SAME(reservedSharedMemPerBlock); SAME(memoryPoolsSupported);

#define HOLDS(condition) _Static_assert(condition, #condition)
HOLDS(sizeof(struct cudaDeviceProp) == sizeof(struct properties));
HOLDS(sizeof(struct cudaFuncAttributes) == sizeof(struct function_attributes));
HOLDS(offsetof(struct cudaFuncAttributes, ptxVersion) == offsetof(struct function_attributes, ptxVersion));
HOLDS(offsetof(CUmemAllocationProp, location.id) == offsetof(struct allocation_property, card));
HOLDS((int)cudaErrorMemoryAllocation == (int)OUT_OF_MEMORY);
HOLDS((int)cudaErrorNoDevice == (int)NO_DEVICE);
HOLDS((int)cudaErrorInvalidDevice == (int)BAD_DEVICE);
HOLDS((int)cudaErrorLaunchFailure == (int)LAUNCH_FAILURE);
HOLDS((int)cudaMemcpyDeviceToHost == (int)DEVICE_TO_HOST);

#if __has_include(<nvml.h>)
#include <nvml.h>
HOLDS(sizeof(nvmlMemory_t) == sizeof(struct memory_v1));
HOLDS(sizeof(nvmlMemory_v2_t) == sizeof(struct memory_v2));
HOLDS(offsetof(nvmlMemory_v2_t, used) == offsetof(struct memory_v2, used));
HOLDS(sizeof(nvmlProcessInfo_t) == sizeof(struct process_memory));
HOLDS((int)NVML_CLOCK_MEM == (int)CLOCK_MEMORY);
HOLDS((int)NVML_ERROR_GPU_IS_LOST == (int)IS_LOST);
HOLDS((int)NVML_ERROR_DRIVER_NOT_LOADED == (int)NOT_LOADED);
HOLDS((int)NVML_ERROR_INSUFFICIENT_SIZE == (int)TOO_SMALL);
#endif
