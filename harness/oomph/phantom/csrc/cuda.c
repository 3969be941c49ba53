/* cuda.c - libcudart, libcublas and libcuda of the phantom card, as far as ggml's CUDA backend calls them.
 *
 * Kernels, cuBLAS calls and copies to the device succeed and do nothing, so tokens are garbage and speed means nothing;
 * memory, which is what the phantom is for, is in memory.c. Numbers of attributes are those of driver_types.h. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "layouts.h"
#include "phantom.h"

static __thread int current, last_error;        /* current: the device of this thread, as CUDA counts them */

int fail(int error) { return last_error = error; }

/* ---- which cards are shown: CUDA_VISIBLE_DEVICES, up to the first item that names none ---- */

static int visible[MAX_CARDS], n_visible;

static int card_named(const char *item, size_t length) {
    char *end, uuid[48];
    long index = strtol(item, &end, 10);
    if (end > item && end == item + length) return index >= 0 && index < (int)phantom_state->n_cards ? (int)index : -1;
    for (int i = 0; i < (int)phantom_state->n_cards; i++) {
        snprintf(uuid, sizeof uuid, UUID_FORMAT, i);
        if (length && !strncmp(item, uuid, length)) return i;
    }
    return -1;
}
static void choose(void) {
    const char *item = getenv("CUDA_VISIBLE_DEVICES");
    if (!item)
        while (n_visible < (int)phantom_state->n_cards) visible[n_visible] = n_visible, n_visible++;
    while (item && n_visible < MAX_CARDS) {
        size_t length = strcspn(item, ",");
        int index = card_named(item, length);
        if (index < 0) return;
        visible[n_visible++] = index;
        item = item[length] ? item + length + 1 : 0;
    }
}
static int n_devices(void) {
    static pthread_once_t chosen = PTHREAD_ONCE_INIT;
    if (!phantom_join()) return 0;
    pthread_once(&chosen, choose);
    return n_visible;
}
static int known(int index) { return index >= 0 && index < n_devices(); }
int card_behind(int device) { return known(device) ? visible[device] : -1; }
int current_card(void) { return visible[current]; }
static struct card_state *card(int index) { return &phantom_state->card[visible[index]]; }

int reach(void) {
    if (!known(current)) return fail(NO_DEVICE);
    return __atomic_load_n(&card(current)->sensor[SENSOR_LOST], __ATOMIC_RELAXED) ? fail(LAUNCH_FAILURE) : OK;
}

/* ---- devices ---- */

struct sm { uint32_t compute_capability, max_threads, shared_kib; };
static const struct sm *sm_of(int index) {      /* CUDA C++ Programming Guide, table of technical specifications */
    static const struct sm known_sms[] = {{75, 1024, 64}, {80, 2048, 164}, {86, 1536, 100}, {87, 1536, 164},
        {89, 1536, 100}, {90, 2048, 228}, {100, 2048, 228}, {103, 2048, 228}, {120, 1536, 100}, {121, 1536, 100}};
    for (size_t i = 0; i < sizeof known_sms / sizeof *known_sms; i++)
        if (known_sms[i].compute_capability == card(index)->card.compute_capability) return &known_sms[i];
    return &known_sms[0];
}

API int cudaGetDeviceCount(int *n) {
    *n = n_devices();
    return *n ? OK : fail(NO_DEVICE);
}
API int cudaGetDevice(int *index) { *index = current; return OK; }
API int cudaSetDevice(int index) {
    if (!known(index)) return fail(BAD_DEVICE);
    current = index;
    return OK;
}
API int cudaDeviceCanAccessPeer(int *can, int one, int other) { *can = one != other; return OK; }
API int cudaDeviceGetPCIBusId(char *out, int size, int index) {
    if (!known(index)) return fail(BAD_DEVICE);
    snprintf(out, size, "0000:%02X:00.0", visible[index] + 1);
    return OK;
}
API int cudaGetDeviceProperties(struct properties *out, int index) {
    if (!known(index)) return fail(BAD_DEVICE);
    const struct phantom_card *it = &card(index)->card;
    const struct sm *sm = sm_of(index);
    *out = (struct properties){
        .totalGlobalMem = it->memory_bytes, .sharedMemPerBlock = 48 << 10, .regsPerBlock = 65536, .warpSize = 32,
        .memPitch = 0x7fffffff, .maxThreadsPerBlock = 1024, .maxThreadsDim = {1024, 1024, 64},
        .maxGridSize = {0x7fffffff, 65535, 65535}, .totalConstMem = 65536, .major = (int)it->compute_capability / 10,
        .minor = (int)it->compute_capability % 10, .textureAlignment = 512, .texturePitchAlignment = 32,
        .multiProcessorCount = (int)it->sm_count, .canMapHostMemory = 1, .concurrentKernels = 1, .pciBusID = visible[index] + 1,
        .asyncEngineCount = 2, .unifiedAddressing = 1, .memoryBusWidth = 512, .l2CacheSize = 128 << 20,
        .maxThreadsPerMultiProcessor = (int)sm->max_threads, .sharedMemPerMultiprocessor = sm->shared_kib << 10,
        .regsPerMultiprocessor = 65536, .managedMemory = 1, .cooperativeLaunch = 1,
        .sharedMemPerBlockOptin = (sm->shared_kib - 1) << 10, .maxBlocksPerMultiProcessor = 24,
        .reservedSharedMemPerBlock = 1024, .hostRegisterSupported = 1, .memoryPoolsSupported = 1};
    memcpy(out->name, it->name, sizeof it->name);
    memcpy(out->uuid, "phantom", 7);
    out->uuid[15] = (char)visible[index];
    return OK;
}
API int cudaDeviceGetAttribute(int *value, int attribute, int index) {
    struct properties p;
    int failed = cudaGetDeviceProperties(&p, index);
    if (failed) return failed;
    switch (attribute) {                        /* those that ggml and CUB ask for */
    case 1: case 111: *value = 1024; break;     /* threads a block, reserved shared memory a block */
    case 5: *value = 0x7fffffff; break;
    case 6: case 7: *value = 65535; break;
    case 8: *value = 48 << 10; break;
    case 10: *value = 32; break;
    case 12: case 82: *value = 65536; break;    /* registers */
    case 16: *value = p.multiProcessorCount; break;
    case 38: *value = p.l2CacheSize; break;
    case 39: *value = p.maxThreadsPerMultiProcessor; break;
    case 41: case 95: case 102: case 115: *value = 1; break;  /* addressing, cooperation, virtual memory, pools */
    case 75: *value = p.major; break;
    case 76: *value = p.minor; break;
    case 81: *value = (int)p.sharedMemPerMultiprocessor; break;
    case 97: *value = (int)p.sharedMemPerBlockOptin; break;
    default: *value = 0;
    }
    return OK;
}
API int cuDeviceGet(int *out, int index) { *out = index; return known(index) ? OK : BAD_DEVICE; }
API int cuDeviceGetAttribute(int *value, int attribute, int index) {
    return cudaDeviceGetAttribute(value, attribute, index);
}


/* ---- the driver's door, for a process that holds a context and memory by itself ---- */

API int cuInit(unsigned flags) { return n_devices() ? OK : NO_DEVICE; }
API int cuDriverGetVersion(int *version) { *version = 13000; return OK; }
API int cuDeviceGetCount(int *n) { *n = n_devices(); return OK; }
API int cuDeviceGetName(char *out, int size, int index) {
    if (!known(index)) return BAD_DEVICE;
    snprintf(out, size, "%s", card(index)->card.name);
    return OK;
}
API int cuDeviceTotalMem_v2(size_t *n, int index) {
    if (!known(index)) return BAD_DEVICE;
    *n = card(index)->card.memory_bytes;
    return OK;
}
API int cuDevicePrimaryCtxRetain(void **out, int index) {
    if (!known(index)) return BAD_DEVICE;
    int failed = reach(), granted;
    if (failed || !phantom_lock()) return failed;
    granted = phantom_charge(visible[index], 0);        /* the context's own memory */
    phantom_unlock();
    *out = card(index);
    return granted ? OK : OUT_OF_MEMORY;
}
API int cuCtxSetCurrent(void *context) {
    for (int i = 0; i < n_devices(); i++)
        if (context == card(i)) current = i;
    return OK;
}

/* ---- errors ---- */

API int cudaGetLastError(void) { int error = last_error; last_error = OK; return error; }
API int cudaPeekAtLastError(void) { return last_error; }
API const char *cudaGetErrorString(int error) {
    switch (error) {
    case OK: return "no error";
    case INVALID_VALUE: return "invalid argument";
    case OUT_OF_MEMORY: return "out of memory";
    case NO_DEVICE: return "no CUDA-capable device is detected";
    case BAD_DEVICE: return "invalid device ordinal";
    case LAUNCH_FAILURE: return "unspecified launch failure";
    default: return "unknown error";
    }
}
API int cuGetErrorString(int error, const char **text) { *text = cudaGetErrorString(error); return OK; }

/* ---- copies and kernels ---- */

/* The host reads zeros, with one exception: the expert ids of a mixture-of-experts layer, which ggml reads back for
 * large F16 and BF16 batches, must name distinct experts for each token. So it is noted where the routing kernels
 * write them and how many experts there are; tokens take the experts in turn. As floats such ids are next to zero. */
enum { MAX_ROUTERS = 128 };
static struct { const void *kernel; int n_experts, ids_argument; } routers[MAX_ROUTERS];
static int n_routers;
static const void *ids_at;
static uint32_t n_experts;

static void read_back(void *to, const void *from, size_t n) {
    if (from != ids_at || !n_experts) { memset(to, 0, n); return; }
    uint32_t *ids = to;
    for (size_t i = 0; i < n / sizeof *ids; i++) ids[i] = (i + i / n_experts) % n_experts;
}
static int copy(void *to, const void *from, size_t n, int kind) {
    int failed = reach();
    if (failed) return failed;
    if (kind == DEVICE_TO_HOST) read_back(to, from, n);
    if (kind == HOST_TO_HOST) memcpy(to, from, n);
    return OK;
}
API int cudaMemcpyAsync(void *to, const void *from, size_t n, int kind, void *stream) {
    return copy(to, from, n, kind);
}
API int cudaMemcpy2DAsync(char *to, size_t to_pitch, const char *from, size_t from_pitch, size_t width, size_t height,
                          int kind, void *stream) {
    int failed = reach();
    for (size_t row = 0; row < height && !failed; row++)
        failed = copy(to + row * to_pitch, from + row * from_pitch, width, kind);
    return failed;
}

static int launch(const void *kernel, void **arguments) {
    int failed = reach();
    if (failed) return failed;
    __atomic_fetch_add(&card(current)->count.n_launches, 1, __ATOMIC_RELAXED);
    for (int i = 0; i < n_routers; i++) {
        if (routers[i].kernel != kernel) continue;
        ids_at = *(void **)arguments[routers[i].ids_argument];
        n_experts = routers[i].n_experts ? routers[i].n_experts : *(int *)arguments[2];
    }
    return OK;
}
API void __cudaRegisterFunction(void **handle, const char *host, char *device, const char *name, int limit, void *tid,
                                void *bid, void *block, void *grid, int *warp) {
    const char *topk = strstr(name, "topk_moe_cudaILi");        /* topk_moe_cuda<N, bias>(logits, weights, ids, …) */
    if ((!topk && !strstr(name, "k_argsort_f32_i32")) || n_routers == MAX_ROUTERS) return;  /* (x, ids, N, …) */
    routers[n_routers].kernel = host;
    routers[n_routers].n_experts = topk ? atoi(topk + strlen("topk_moe_cudaILi")) : 0;
    routers[n_routers++].ids_argument = topk ? 2 : 1;
}

#ifndef PHANTOM_ABI
typedef struct { unsigned x, y, z; } dim3;
#endif
static __thread struct { dim3 grid, block; size_t shared; void *stream; } call;  /* what <<<…>>> pushed */

API unsigned __cudaPushCallConfiguration(dim3 grid, dim3 block, size_t shared, void *stream) {
    call.grid = grid;
    call.block = block;
    call.shared = shared;
    call.stream = stream;
    return 0;
}
API int __cudaPopCallConfiguration(dim3 *grid, dim3 *block, size_t *shared, void **stream) {
    *grid = call.grid;
    *block = call.block;
    *shared = call.shared;
    *stream = call.stream;
    return OK;
}
API int __cudaGetKernel(const void **kernel, const void *function) { *kernel = function; return OK; }
API int __cudaLaunchKernel(const void *kernel, dim3 grid, dim3 block, void **arguments, size_t shared, void *stream) {
    return launch(kernel, arguments);
}
API int cudaLaunchKernelExC(const void *configuration, const void *kernel, void **arguments) {
    return launch(kernel, arguments);
}
API int cudaLaunchCooperativeKernel(const void *kernel, dim3 grid, dim3 block, void **arguments, size_t shared,
                                    void *stream) {
    return __cudaLaunchKernel(kernel, grid, block, arguments, shared, stream);
}
API int cudaFuncGetAttributes(struct function_attributes *out, const void *kernel) {
    if (!known(current)) return fail(NO_DEVICE);
    int capability = (int)card(current)->card.compute_capability;
    *out = (struct function_attributes){.max_threads = 1024, .n_registers = 255, .ptxVersion = capability,
        .binaryVersion = capability, .max_dynamic_shared = (int)(sm_of(current)->shared_kib - 1) << 10};
    return OK;
}
/* ggml sizes flash attention's partial results by this. Its kernels use 208 to 255 registers a thread (nvcc 13.0, sm_89
 * and sm_120a), taken as 256 here: the buffers that depend on it are right within some MiB. */
API int cudaOccupancyMaxActiveBlocksPerMultiprocessorWithFlags(int *n, const void *kernel, int threads, size_t shared,
                                                                 unsigned flags) {
    if (!known(current)) return fail(NO_DEVICE);
    const struct sm *sm = sm_of(current);
    int by_threads = (int)sm->max_threads / threads, by_shared = (int)((sm->shared_kib << 10) / (shared + 1024));
    int by_registers = 65536 / (256 * threads);
    *n = by_threads < by_shared ? by_threads : by_shared;
    if (by_registers < *n) *n = by_registers;
    if (*n < 1) *n = 1;
    return OK;
}

/* ---- streams, events and graphs: handles are something with an address ---- */

static int new_handle(void **out) { *out = calloc(1, 16); return *out ? OK : fail(OUT_OF_MEMORY); }
static int free_handle(void *handle) { free(handle); return OK; }
static int *capturing(void *stream) {
    static __thread int of_default;
    return (uintptr_t)stream > 2 ? stream : &of_default;
}

API int cudaStreamCreateWithFlags(void **out, unsigned flags) {
    int failed = reach();
    return failed ? failed : new_handle(out);
}
API int cudaStreamDestroy(void *stream) { return free_handle(stream); }
API int cudaStreamSynchronize(void *stream) { return reach(); }
API int cudaStreamBeginCapture(void *stream, int mode) { *capturing(stream) = 1; return OK; }
API int cudaStreamEndCapture(void *stream, void **graph) { *capturing(stream) = 0; return new_handle(graph); }
API int cudaStreamIsCapturing(void *stream, int *status) { *status = *capturing(stream); return OK; }
API int cudaEventCreateWithFlags(void **out, unsigned flags) { return new_handle(out); }
API int cudaEventDestroy(void *event) { return free_handle(event); }
API int cudaEventSynchronize(void *event) { return reach(); }
API int cudaGraphInstantiate(void **out, void *graph, unsigned long long flags) { return new_handle(out); }
API int cudaGraphExecUpdate(void *executable, void *graph, void *info) { memset(info, 0, 24); return OK; }
API int cudaGraphDestroy(void *graph) { return free_handle(graph); }
API int cudaGraphExecDestroy(void *executable) { return free_handle(executable); }
API int cudaGraphLaunch(void *executable, void *stream) { return reach(); }
API int cudaDeviceSynchronize(void) { return reach(); }
API void **__cudaRegisterFatBinary(void *binary) { static void *handle; return &handle; }
API int cublasCreate_v2(void **out) { return new_handle(out); }     /* ggml brings its own workspace, so no memory */
API int cublasDestroy_v2(void *handle) { return free_handle(handle); }
API const char *cublasGetStatusString(int status) {
    return status ? "CUBLAS_STATUS_INTERNAL_ERROR" : "CUBLAS_STATUS_SUCCESS";
}

/* ---- what succeeds and does nothing; the calling convention lets a callee ignore the arguments ---- */

#define NOTHING(name) API int name(void) { return OK; }
NOTHING(cudaSetDeviceFlags) NOTHING(cudaDeviceEnablePeerAccess) NOTHING(cudaHostRegister) NOTHING(cudaHostUnregister)
NOTHING(cudaMemset) NOTHING(cudaMemsetAsync) NOTHING(cudaMemcpyPeerAsync) NOTHING(cudaStreamWaitEvent)
NOTHING(cudaEventRecord) NOTHING(cudaFuncSetAttribute) NOTHING(cuMemSetAccess) NOTHING(__cudaRegisterFatBinaryEnd)
NOTHING(__cudaUnregisterFatBinary) NOTHING(__cudaRegisterVar) NOTHING(cublasSetMathMode) NOTHING(cublasSetStream_v2)
NOTHING(cublasSetWorkspace_v2) NOTHING(cublasGemmEx) NOTHING(cublasGemmBatchedEx) NOTHING(cublasGemmStridedBatchedEx)
NOTHING(cublasSgemm_v2) NOTHING(cublasSgemmBatched) NOTHING(cublasSgemmStridedBatched) NOTHING(cublasStrsmBatched)
