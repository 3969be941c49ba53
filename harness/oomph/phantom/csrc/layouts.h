/* layouts.h - what of NVIDIA's structures and numbers the phantom speaks; abi.c holds them against the headers. */
#ifndef LAYOUTS_H
#define LAYOUTS_H
#include <stddef.h>

/* ---- driver_types.h and cuda.h, CUDA 13.0 ---- */

enum { OK = 0, INVALID_VALUE = 1, OUT_OF_MEMORY = 2, NO_DEVICE = 100, BAD_DEVICE = 101, LAUNCH_FAILURE = 719 };
enum { HOST_TO_HOST = 0, DEVICE_TO_HOST = 2 };

struct properties {                             /* cudaDeviceProp; what ggml does not read is padding */
    char name[256], uuid[16], luid[16];
    size_t totalGlobalMem, sharedMemPerBlock;
    int regsPerBlock, warpSize;
    size_t memPitch;
    int maxThreadsPerBlock, maxThreadsDim[3], maxGridSize[3];
    size_t totalConstMem;
    int major, minor;
    size_t textureAlignment, texturePitchAlignment;
    int multiProcessorCount, integrated, canMapHostMemory, pad0[41], concurrentKernels, eccEnabled, pciBusID,
        pciDeviceID, pciDomainID, tccDriver, asyncEngineCount, unifiedAddressing, memoryBusWidth, l2CacheSize,
        persistingL2CacheMaxSize, maxThreadsPerMultiProcessor, pad1[4];
    size_t sharedMemPerMultiprocessor;
    int regsPerMultiprocessor, managedMemory, pad2[7], cooperativeLaunch;
    size_t sharedMemPerBlockOptin;
    int pad3[2], maxBlocksPerMultiProcessor, accessPolicyMaxWindowSize;
    size_t reservedSharedMemPerBlock;
    int hostRegisterSupported, pad4[3], memoryPoolsSupported, pad5[71];
};
struct function_attributes {                    /* cudaFuncAttributes */
    size_t shared, constant, local;
    int max_threads, n_registers, ptxVersion, binaryVersion, cache, max_dynamic_shared, pad[24];
};
struct allocation_property { int type, handle_types, location_type, card; };  /* CUmemAllocationProp begins so */

/* ---- nvml.h ---- */

enum {
    SUCCESS = 0, UNINITIALIZED = 1, BAD_ARGUMENT = 2, NOT_SUPPORTED = 3, TOO_SMALL = 7, NOT_LOADED = 9, IS_LOST = 15
};
enum { CLOCK_MEMORY = 2 };
struct memory_v1 { unsigned long long total, free, used; };             /* here used includes what is reserved */
struct memory_v2 { unsigned version; unsigned long long total, reserved, free, used; };
struct process_memory { unsigned pid; unsigned long long used; unsigned gpu_instance, compute_instance; };
struct utilization { unsigned gpu, memory; };
#endif
