/* faulty_nvml.c - a libnvidia-ml.so.1 that misbehaves as the file named by $FAULTY_NVML says, read anew at each call.
 *
 * A line of it is a word and its values:
 *   gpus N                  GPUs, each of 16 GiB
 *   mig N                   the first GPU is cut into N instances of 2 GiB
 *   used BYTES              in use on each
 *   process PID BYTES       a process on each; BYTES "-" hides them, as under WDDM
 *   late N                  so often the list of processes has grown between its count and its filling
 *   energy MJ               what the counter begins with: it adds the power of 200 W since the machine's start
 *   still                   the counter stays at its beginning
 *   error FUNCTION CODE     the function returns this error ("*": every function that takes a device)
 *   lost N                  the Nth GPU is lost
 *   inits N                 the errors hold up to the Nth nvmlInit: then the card has been reset
 *   sleep FUNCTION MS       the function takes so long
 * Names, structures and codes are nvml.h's; a handle is a GPU's index plus one, an instance's plus 100. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "layouts.h"

#define API __attribute__((visibility("default")))
#define GIB (1ull << 30)
#define POWER_MW 200000ull
enum { MAX_PROCESSES = 32, FIRST_INSTANCE = 100 };

typedef uintptr_t device;

struct told {
    unsigned n_gpus, n_instances, n_processes, n_late, last_init, lost;
    unsigned long long used, energy;
    int is_still, error;
    long sleep_ms;
    struct process_memory process[MAX_PROCESSES];
};

static int n_inits, n_late_fills;
static unsigned n_ever;

/* The file as it is now, for a call of `function`. */
static struct told read_told(const char *function, int takes_device) {
    struct told told = {.n_gpus = 1, .last_init = ~0u};
    char line[256], name[128], value[64];
    FILE *file = fopen(getenv("FAULTY_NVML"), "r");
    while (file && fgets(line, sizeof line, file)) {
        int code;
        unsigned pid;
        long ms;
        if (sscanf(line, "gpus %u", &told.n_gpus) || sscanf(line, "mig %u", &told.n_instances)) continue;
        if (sscanf(line, "used %llu", &told.used) || sscanf(line, "energy %llu", &told.energy)) continue;
        if (sscanf(line, "late %u", &told.n_late) || sscanf(line, "inits %u", &told.last_init)) continue;
        if (sscanf(line, "lost %u", &told.lost)) continue;
        if (!strncmp(line, "still", 5)) told.is_still = 1;
        if (sscanf(line, "process %u %63s", &pid, value) == 2 && told.n_processes < MAX_PROCESSES)
            told.process[told.n_processes++] =
                (struct process_memory){pid, *value == '-' ? ~0ull : strtoull(value, NULL, 10), ~0u, ~0u};
        if (sscanf(line, "error %127s %d", name, &code) == 2)
            if (!strcmp(name, function) || (takes_device && !strcmp(name, "*"))) told.error = code;
        if (sscanf(line, "sleep %127s %ld", name, &ms) == 2 && !strcmp(name, function)) told.sleep_ms = ms;
    }
    if (file) fclose(file);
    if (n_ever > told.last_init) told.error = 0;
    if (told.sleep_ms) nanosleep(&(struct timespec){told.sleep_ms / 1000, told.sleep_ms % 1000 * 1000000}, NULL);
    return told;
}

/* What each call begins with. */
#define ENTER(takes_device)                                       \
    struct told told = read_told(__func__, takes_device);         \
    if (told.error) return told.error;                            \
    if (!n_inits) return UNINITIALIZED
/* Of one on a GPU: an instance has no such figure, and a GPU that is cut up has no utilisation. */
#define ENTER_SENSOR()                                            \
    ENTER(1);                                                     \
    if (handle >= FIRST_INSTANCE) return NOT_SUPPORTED

static int copy_text(char *out, unsigned size, const char *text) {
    return snprintf(out, size, "%s", text) >= (int)size ? TOO_SMALL : SUCCESS;
}

API int nvmlInitWithFlags(unsigned flags) {
    int failed = read_told(__func__, 0).error;
    n_inits += !failed, n_ever++;
    return failed;
}
API int nvmlShutdown(void) {
    if (!n_inits) return UNINITIALIZED;
    n_inits--;
    return SUCCESS;
}
API const char *nvmlErrorString(int code) { return "an error that pynvml has no words for"; }
API int nvmlSystemGetDriverVersion(char *out, unsigned size) {
    ENTER(0);
    return copy_text(out, size, "580.00");
}
API int nvmlDeviceGetCount_v2(unsigned *count) {
    ENTER(0);
    *count = told.n_gpus;
    return SUCCESS;
}
API int nvmlDeviceGetHandleByIndex_v2(unsigned index, device *handle) {
    ENTER(1);
    *handle = index + 1;
    return *handle == told.lost ? IS_LOST : index < told.n_gpus ? SUCCESS : BAD_ARGUMENT;
}
API int nvmlDeviceGetName(device handle, char *out, unsigned size) {
    ENTER(1);
    return copy_text(out, size, handle < FIRST_INSTANCE ? "NVIDIA GeForce RTX 4090" : "NVIDIA RTX 4090 MIG 1g.2gb");
}
API int nvmlDeviceGetUUID(device handle, char *out, unsigned size) {
    ENTER(1);
    char uuid[32];
    snprintf(uuid, sizeof uuid, "%s-%u", handle < FIRST_INSTANCE ? "GPU" : "MIG", (unsigned)handle);
    return copy_text(out, size, uuid);
}
API int nvmlDeviceGetCudaComputeCapability(device handle, int *major, int *minor) {
    ENTER(1);
    *major = 8, *minor = 9;
    return SUCCESS;
}

/* ---- a GPU that is cut up ---- */

API int nvmlDeviceGetMigMode(device handle, unsigned *current, unsigned *pending) {
    ENTER_SENSOR();
    *current = *pending = handle == 1 && told.n_instances;
    return SUCCESS;
}
API int nvmlDeviceGetMaxMigDeviceCount(device handle, unsigned *count) {
    ENTER_SENSOR();
    *count = 7;
    return SUCCESS;
}
API int nvmlDeviceGetMigDeviceHandleByIndex(device handle, unsigned index, device *instance) {
    ENTER_SENSOR();
    *instance = FIRST_INSTANCE + index;
    return index < told.n_instances ? SUCCESS : 6; /* NVML_ERROR_NOT_FOUND */
}

/* ---- memory ---- */

API int nvmlDeviceGetMemoryInfo(device handle, struct memory_v1 *out) {
    ENTER(1);
    unsigned long long total = handle < FIRST_INSTANCE ? 16 * GIB : 2 * GIB;
    *out = (struct memory_v1){total, total - told.used, told.used};
    return SUCCESS;
}
API int nvmlDeviceGetMemoryInfo_v2(device handle, struct memory_v2 *out) {
    ENTER(1);
    unsigned long long total = handle < FIRST_INSTANCE ? 16 * GIB : 2 * GIB;
    *out = (struct memory_v2){out->version, total, 0, total - told.used, told.used};
    return SUCCESS;
}
API int nvmlDeviceGetComputeRunningProcesses_v3(device handle, unsigned *count, struct process_memory *out) {
    ENTER(1);
    unsigned room = out ? *count : 0;
    *count = told.n_processes;
    if (out && n_late_fills++ < (int)told.n_late) return TOO_SMALL;
    if (told.n_processes > room) return TOO_SMALL;
    n_late_fills = 0;
    memcpy(out, told.process, told.n_processes * sizeof *out);
    return SUCCESS;
}
API int nvmlDeviceGetGraphicsRunningProcesses_v3(device handle, unsigned *count, struct process_memory *out) {
    ENTER(1);
    *count = 0;
    return SUCCESS;
}

/* ---- sensors ---- */

API int nvmlDeviceGetPowerUsage(device handle, unsigned *mw) {
    ENTER_SENSOR();
    *mw = POWER_MW;
    return SUCCESS;
}
API int nvmlDeviceGetEnforcedPowerLimit(device handle, unsigned *mw) {
    ENTER_SENSOR();
    *mw = 2 * POWER_MW;
    return SUCCESS;
}
API int nvmlDeviceGetTotalEnergyConsumption(device handle, unsigned long long *mj) {
    ENTER_SENSOR();
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    unsigned long long ms = now.tv_sec * 1000ull + now.tv_nsec / 1000000;
    *mj = told.energy + (told.is_still ? 0 : ms * POWER_MW / 1000);
    return SUCCESS;
}
API int nvmlDeviceGetClockInfo(device handle, int which, unsigned *mhz) {
    ENTER_SENSOR();
    *mhz = which == CLOCK_MEMORY ? 10501 : 2520;
    return SUCCESS;
}
API int nvmlDeviceGetTemperature(device handle, int which, unsigned *celsius) {
    ENTER_SENSOR();
    *celsius = 61;
    return SUCCESS;
}
API int nvmlDeviceGetCurrentClocksEventReasons(device handle, unsigned long long *bits) {
    ENTER_SENSOR();
    *bits = 0x4; /* the power cap */
    return SUCCESS;
}
API int nvmlDeviceGetCurrentClocksThrottleReasons(device handle, unsigned long long *bits) {
    return nvmlDeviceGetCurrentClocksEventReasons(handle, bits);
}
API int nvmlDeviceGetUtilizationRates(device handle, struct utilization *out) {
    ENTER_SENSOR();
    if (told.n_instances) return NOT_SUPPORTED;
    *out = (struct utilization){97, 50};
    return SUCCESS;
}
