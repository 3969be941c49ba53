/* nvml.c - libnvidia-ml.so.1 of the phantom card: its accounts and sensors, read from any process.
 *
 * A device's handle is its index plus one. Function names, structures and error codes are nvml.h's. */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include "layouts.h"
#include "phantom.h"

#define NOT_AVAILABLE (~0ull)       /* NVML_VALUE_NOT_AVAILABLE: a process is there, its memory cannot be told */

typedef uintptr_t device;

static struct card_state *card_of(device handle) { return &phantom_state->card[handle - 1]; }

/* What a call on a device begins with: locked and settled, or the error to return. */
static int enter(device handle) {
    if (!phantom_lock()) return UNINITIALIZED;
    int failed = SUCCESS;
    if (handle < 1 || handle > phantom_state->n_cards) failed = BAD_ARGUMENT;
    else if (card_of(handle)->sensor[SENSOR_LOST]) failed = IS_LOST;
    if (failed) phantom_unlock();
    else phantom_settle();
    return failed;
}
static int copy_text(char *out, unsigned size, const char *text) {
    return snprintf(out, size, "%s", text) >= (int)size ? TOO_SMALL : SUCCESS;
}
static int read_sensor(device handle, int sensor, unsigned long long *value) {
    int failed = enter(handle);
    if (failed) return failed;
    *value = card_of(handle)->sensor[sensor];
    phantom_unlock();
    return SUCCESS;
}
static int read_small_sensor(device handle, int sensor, unsigned *value) {
    unsigned long long wide = 0;
    int failed = read_sensor(handle, sensor, &wide);
    if (!failed) *value = (unsigned)wide;
    return failed;
}

/* ---- the system ---- */

API int nvmlInitWithFlags(unsigned flags) {
    if (!phantom_lock()) return NOT_LOADED;
    phantom_unlock();
    return SUCCESS;
}
API int nvmlInit_v2(void) { return nvmlInitWithFlags(0); }
API int nvmlShutdown(void) { return SUCCESS; }
API const char *nvmlErrorString(int code) {
    switch (code) {
    case SUCCESS: return "Success";
    case UNINITIALIZED: return "Uninitialized";
    case BAD_ARGUMENT: return "Invalid Argument";
    case TOO_SMALL: return "Insufficient Size";
    case NOT_LOADED: return "Driver Not Loaded";
    case IS_LOST: return "GPU is lost";
    default: return "Not Supported";
    }
}
API int nvmlSystemGetDriverVersion(char *out, unsigned size) { return copy_text(out, size, "580.00.00-phantom"); }
API int nvmlSystemGetCudaDriverVersion_v2(int *version) {      /* $PHANTOM_CUDA is another driver's: 12040 */
    const char *given = getenv("PHANTOM_CUDA");
    *version = given ? atoi(given) : 13010;
    return SUCCESS;
}
API int nvmlSystemGetCudaDriverVersion(int *version) { return nvmlSystemGetCudaDriverVersion_v2(version); }

/* ---- the devices ---- */

API int nvmlDeviceGetCount_v2(unsigned *count) {
    if (!phantom_lock()) return UNINITIALIZED;
    *count = phantom_state->n_cards;
    phantom_unlock();
    return SUCCESS;
}
API int nvmlDeviceGetHandleByIndex_v2(unsigned index, device *out) {
    *out = index + 1;
    int failed = enter(*out);
    if (!failed) phantom_unlock();
    return failed;
}
API int nvmlDeviceGetIndex(device handle, unsigned *index) { *index = (unsigned)handle - 1; return SUCCESS; }
API int nvmlDeviceGetName(device handle, char *out, unsigned size) {
    int failed = enter(handle);
    if (failed) return failed;
    failed = copy_text(out, size, card_of(handle)->card.name);
    phantom_unlock();
    return failed;
}
API int nvmlDeviceGetUUID(device handle, char *out, unsigned size) {
    char uuid[48];
    snprintf(uuid, sizeof uuid, UUID_FORMAT, (unsigned)handle - 1);
    return copy_text(out, size, uuid);
}
API int nvmlDeviceGetCudaComputeCapability(device handle, int *major, int *minor) {
    int failed = enter(handle);
    if (failed) return failed;
    *major = (int)card_of(handle)->card.compute_capability / 10;
    *minor = (int)card_of(handle)->card.compute_capability % 10;
    phantom_unlock();
    return SUCCESS;
}

/* The CPUs nearest to the card; a card that was not given any does not tell. */
API int nvmlDeviceGetCpuAffinity(device handle, unsigned n_words, unsigned long *cpus) {
    unsigned long long nearest;
    int failed = read_sensor(handle, SENSOR_CPUS, &nearest);
    if (failed || !nearest || !n_words) return failed ? failed : NOT_SUPPORTED;
    for (unsigned word = 0; word < n_words; word++) cpus[word] = word ? 0 : (unsigned long)nearest;
    return SUCCESS;
}

/* ---- memory ---- */

API int nvmlDeviceGetMemoryInfo(device handle, struct memory_v1 *out) {
    int failed = enter(handle);
    if (failed) return failed;
    uint64_t reserved = card_of(handle)->card.reserved_bytes;
    struct phantom_counters count = card_of(handle)->count;
    phantom_unlock();
    out->total = count.total + reserved;
    out->free = count.total - count.used;
    out->used = count.used + reserved;
    return SUCCESS;
}
API int nvmlDeviceGetMemoryInfo_v2(device handle, struct memory_v2 *out) {
    int failed = enter(handle);
    if (failed) return failed;
    uint64_t reserved = card_of(handle)->card.reserved_bytes;
    struct phantom_counters count = card_of(handle)->count;
    int withheld = card_of(handle)->sensor[SENSOR_NO_MEMORY_V2] != 0;
    phantom_unlock();
    if (withheld) return NOT_SUPPORTED;
    out->total = count.total + reserved;
    out->reserved = reserved;
    out->free = count.total - count.used;
    out->used = count.used;
    return SUCCESS;
}
API int nvmlDeviceGetComputeRunningProcesses_v3(device handle, unsigned *count, struct process_memory *out) {
    int failed = enter(handle);
    if (failed) return failed;
    unsigned found = 0, room = out ? *count : 0;
    int withheld = card_of(handle)->sensor[SENSOR_HIDES_PROCESSES] != 0;
    for (struct process_state *each = phantom_state->process; each < phantom_state->process + MAX_PROCESSES; each++) {
        uint64_t used = each->on[handle - 1].used;
        if (!each->pid || !used) continue;
        if (found < room) out[found] = (struct process_memory){each->pid, withheld ? NOT_AVAILABLE : used, ~0u, ~0u};
        found++;
    }
    phantom_unlock();
    *count = found;
    return found > room ? TOO_SMALL : SUCCESS;
}
API int nvmlDeviceGetGraphicsRunningProcesses_v3(device handle, unsigned *count, struct process_memory *out) {
    *count = 0;
    return SUCCESS;
}

/* ---- sensors ---- */

API int nvmlDeviceGetPowerUsage(device handle, unsigned *mw) { return read_small_sensor(handle, SENSOR_POWER_MW, mw); }
API int nvmlDeviceGetTemperature(device handle, int which, unsigned *c) {
    return read_small_sensor(handle, SENSOR_TEMPERATURE_C, c);
}
API int nvmlDeviceGetClockInfo(device handle, int which, unsigned *mhz) {
    return read_small_sensor(handle, which == CLOCK_MEMORY ? SENSOR_MEMORY_MHZ : SENSOR_SM_MHZ, mhz);
}
API int nvmlDeviceGetMaxClockInfo(device handle, int which, unsigned *mhz) {
    return nvmlDeviceGetClockInfo(handle, which, mhz);
}
API int nvmlDeviceGetCurrentClocksEventReasons(device handle, unsigned long long *bits) {
    return read_sensor(handle, SENSOR_THROTTLE, bits);
}
API int nvmlDeviceGetCurrentClocksThrottleReasons(device handle, unsigned long long *bits) {
    return read_sensor(handle, SENSOR_THROTTLE, bits);
}
/* The energy of a card that has drawn its present power since it was made. */
API int nvmlDeviceGetTotalEnergyConsumption(device handle, unsigned long long *mj) {
    unsigned long long mw;
    int failed = read_sensor(handle, SENSOR_POWER_MW, &mw);
    if (failed) return failed;
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    uint64_t ms = (now.tv_sec * 1000000000ull + now.tv_nsec - card_of(handle)->created_ns) / 1000000;
    *mj = ms * mw / 1000;
    return SUCCESS;
}
/* Busy: kernels were launched since this process last asked. */
API int nvmlDeviceGetUtilizationRates(device handle, struct utilization *out) {
    static uint64_t before[MAX_CARDS];
    int failed = enter(handle);
    if (failed) return failed;
    uint64_t launches = card_of(handle)->count.n_launches;
    phantom_unlock();
    out->gpu = before[handle - 1] != launches ? 100 : 0;
    out->memory = out->gpu / 2;
    before[handle - 1] = launches;
    return SUCCESS;
}
