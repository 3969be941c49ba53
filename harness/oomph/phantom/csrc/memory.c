/* memory.c - CUDA's memory calls: made and counted as on a real card, and past its size they fail as CUDA does.
 *
 * Device memory is address space without pages: 90 GB cost nothing, and the host touching it is a SIGSEGV, as it should
 * be. ggml takes it in two ways: cudaMalloc for weights, KV cache and compute buffers, and the driver's virtual memory
 * calls (libcuda) for the pool that grows while it runs. */
#define _GNU_SOURCE
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>
#include "layouts.h"
#include "phantom.h"

/* ---- address space ---- */

struct block {
    enum kind { DEVICE, HOST, MANAGED, RANGE, HANDLE, MAPPING } kind;
    char *at;
    size_t size;
    int card;
    struct block *handle;               /* of a MAPPING: what is mapped */
    int n_refs;                         /* of a HANDLE: its maker and its mappings */
};
static struct block **blocks;
static size_t n_blocks, room;

static struct block *add_block(struct block block) {
    if (n_blocks == room) blocks = realloc(blocks, (room = room * 2 + 64) * sizeof *blocks);
    struct block *copy = malloc(sizeof *copy);
    *copy = block;
    return blocks[n_blocks++] = copy;
}
static struct block *find_block(const void *at, unsigned kinds) {
    for (size_t i = n_blocks; i-- > 0;)
        if (blocks[i]->at == at && kinds >> blocks[i]->kind & 1) return blocks[i];
    return 0;
}
static void drop_block(struct block *block) {
    for (size_t i = n_blocks; i-- > 0;)
        if (blocks[i] == block) { blocks[i] = blocks[--n_blocks]; break; }
    free(block);
}
static void *reserve(size_t n, int protection) {
    void *at = mmap(0, ROUND_UP(n, 4096), protection, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    return at == MAP_FAILED ? 0 : at;
}

static int allocate(void **out, size_t n, enum kind kind) {
    int failed = reach();
    *out = 0;
    if (failed || !n || !phantom_lock()) return failed;
    int granted = kind != DEVICE || phantom_charge(current_card(), n);
    if (granted) *out = reserve(n, kind == DEVICE ? PROT_NONE : PROT_READ | PROT_WRITE);
    if (*out) add_block((struct block){.kind = kind, .at = *out, .size = n, .card = current_card()});
    phantom_unlock();
    return *out ? OK : fail(OUT_OF_MEMORY);
}
static int release(void *at) {
    if (!at || !phantom_lock()) return OK;
    struct block *block = find_block(at, 1 << DEVICE | 1 << HOST | 1 << MANAGED);
    if (block) {
        if (block->kind == DEVICE) phantom_discharge(block->card, block->size);
        munmap(block->at, ROUND_UP(block->size, 4096));
        drop_block(block);
    }
    phantom_unlock();
    return block ? OK : fail(INVALID_VALUE);
}

API int cudaMalloc(void **out, size_t n) { return allocate(out, n, DEVICE); }
API int cudaMallocHost(void **out, size_t n) { return allocate(out, n, HOST); }
API int cudaHostAlloc(void **out, size_t n, unsigned flags) { return allocate(out, n, HOST); }
API int cudaMallocManaged(void **out, size_t n, unsigned flags) {   /* may exceed the card, so it is not charged */
    return allocate(out, n, MANAGED);
}
API int cudaFree(void *at) { return release(at); }
API int cudaFreeHost(void *at) { return release(at); }
API int cudaHostGetDevicePointer(void **device, void *host, unsigned flags) { *device = host; return OK; }
API int cudaMemGetInfo(size_t *free_bytes, size_t *total) {
    int failed = reach();
    if (failed || !phantom_lock()) return failed;
    if (!phantom_charge(current_card(), 0)) {           /* who asks has a context, which is not free */
        phantom_unlock();
        return fail(OUT_OF_MEMORY);
    }
    struct phantom_counters *count = &phantom_state->card[current_card()].count;
    *total = count->total;
    *free_bytes = *total - count->used;
    phantom_unlock();
    return OK;
}

API int cuMemAlloc_v2(void **out, size_t n) { return allocate(out, n, DEVICE); }
API int cuMemFree_v2(void *at) { return release(at); }
API int cuMemGetInfo_v2(size_t *free_bytes, size_t *total) { return cudaMemGetInfo(free_bytes, total); }

/* Mapping a model's file must not read it: llama.cpp asks for MAP_POPULATE and WILLNEED, which would pull a sparse
 * model's 60 GB of holes into the page cache. In force where this library is preloaded. */
API void *mmap(void *at, size_t n, int protection, int flags, int fd, off_t offset) {
    return (void *)syscall(SYS_mmap, at, n, protection, fd >= 0 ? flags & ~MAP_POPULATE : flags, fd, offset);
}
API void *mmap64(void *at, size_t n, int protection, int flags, int fd, off_t offset) __attribute__((alias("mmap")));
API int posix_madvise(void *at, size_t n, int advice) {
    return advice == POSIX_MADV_WILLNEED ? 0 : (int)syscall(SYS_madvise, at, n, advice);
}

/* ---- the virtual memory calls of ggml's pool (libcuda) ---- */

API int cuMemGetAllocationGranularity(size_t *grain, const void *property, int option) {
    *grain = GRAIN;
    return OK;
}
API int cuMemAddressReserve(char **at, size_t n, size_t alignment, char *wanted, unsigned long long flags) {
    if (!(*at = reserve(n, PROT_NONE)) || !phantom_lock()) return OUT_OF_MEMORY;
    add_block((struct block){.kind = RANGE, .at = *at, .size = n});
    phantom_unlock();
    return OK;
}
API int cuMemAddressFree(char *at, size_t n) {
    if (!phantom_lock()) return OK;
    struct block *range = find_block(at, 1 << RANGE);
    if (range) { munmap(at, n); drop_block(range); }
    phantom_unlock();
    return range ? OK : INVALID_VALUE;
}
API int cuMemCreate(struct block **out, size_t n, const struct allocation_property *property,
                    unsigned long long flags) {
    int failed = reach(), card = card_behind(property->card);
    if (failed || card < 0 || !n || n % GRAIN || !phantom_lock()) return failed ? failed : INVALID_VALUE;
    int granted = phantom_charge(card, n);
    if (granted) *out = add_block((struct block){.kind = HANDLE, .size = n, .card = card, .n_refs = 1});
    phantom_unlock();
    return granted ? OK : OUT_OF_MEMORY;
}
static void unref(struct block *handle) {
    if (--handle->n_refs) return;
    phantom_discharge(handle->card, handle->size);
    drop_block(handle);
}
API int cuMemRelease(struct block *handle) {
    if (!phantom_lock()) return OK;
    unref(handle);
    phantom_unlock();
    return OK;
}
API int cuMemMap(char *at, size_t n, size_t offset, struct block *handle, unsigned long long flags) {
    if (!phantom_lock()) return NO_DEVICE;
    handle->n_refs++;
    add_block((struct block){.kind = MAPPING, .at = at, .size = n, .card = handle->card, .handle = handle});
    phantom_unlock();
    return OK;
}
static struct block *mapping_in(const char *at, size_t n) {
    for (size_t i = n_blocks; i-- > 0;)
        if (blocks[i]->kind == MAPPING && blocks[i]->at >= at && blocks[i]->at < at + n) return blocks[i];
    return 0;
}
API int cuMemUnmap(char *at, size_t n) {
    if (!phantom_lock()) return OK;
    for (struct block *mapping; (mapping = mapping_in(at, n));) {
        struct block *handle = mapping->handle;
        drop_block(mapping);
        unref(handle);
    }
    phantom_unlock();
    return OK;
}
