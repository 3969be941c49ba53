/* phantom.h - what the phantom's parts share: the cards, as one file that all processes map. */
#ifndef PHANTOM_H
#define PHANTOM_H
#include <stdint.h>

#define API __attribute__((visibility("default")))
#define UUID_FORMAT "GPU-70686174-0000-0000-0000-%012x"
#define GRAIN (2ull << 20)          /* the driver hands device memory out in pieces of 2 MiB */
#define ROUND_UP(n, to) (((n) + (to) - 1) / (to) * (to))

enum { MAX_CARDS = 16, MAX_PROCESSES = 64, NAME_SIZE = 96 };

/* What a caller of phantom_create says about a card. Sizes are bytes. */
struct phantom_card {
    char name[NAME_SIZE];
    uint64_t memory_bytes;          /* what CUDA reports as the card's memory */
    uint64_t reserved_bytes;        /* held by the driver: NVML shows it on top, CUDA does not */
    uint64_t context_bytes;         /* what each process's CUDA context takes */
    uint32_t compute_capability;    /* 120 is 12.0 */
    uint32_t sm_count;
};

/* What a test may change while the card runs: the index is the `what` of phantom_set. */
enum { SENSOR_POWER_MW, SENSOR_TEMPERATURE_C, SENSOR_SM_MHZ, SENSOR_MEMORY_MHZ, SENSOR_THROTTLE, SENSOR_LOST,
       SENSOR_HIDES_PROCESSES, SENSOR_NO_MEMORY_V2, SENSOR_CPUS, SENSOR_COUNT };

/* What phantom_read returns. Bytes, but for the last three. */
struct phantom_counters { uint64_t used, peak, total, live, refused_bytes, n_refused, n_alloc, n_launches; };

struct card_state {
    struct phantom_card card;
    struct phantom_counters count;  /* `used` is charged to all live processes in GRAINs, `live` is unrounded */
    uint64_t sensor[SENSOR_COUNT];
    uint64_t created_ns;
};
struct share { uint64_t large, small, context, live, used; };  /* one process on one card, bytes */
struct process_state {
    uint32_t pid, unused;
    uint64_t start;                 /* start time in /proc/PID/stat: a pid may come back */
    struct share on[MAX_CARDS];
};
struct phantom_state {
    char magic[8];
    uint32_t n_cards, size;
    struct card_state card[MAX_CARDS];
    struct process_state process[MAX_PROCESSES];
};

extern struct phantom_state *phantom_state;    /* mapped once phantom_lock or phantom_join said yes */

int phantom_lock(void);                         /* 0, and nothing is locked, where there is no card */
void phantom_unlock(void);
void phantom_settle(void);                      /* under the lock: drop the processes that died, add the living up */
int phantom_join(void);                         /* make this process one of the cards' users; 0 as above */
int phantom_charge(int card, uint64_t bytes);   /* under the lock; 0 where the card has not that much left */
void phantom_discharge(int card, uint64_t bytes);

/* Of cuda.c, for the calls of one thread: its card, and the error it is told. */
int card_behind(int device);                    /* the card that CUDA_VISIBLE_DEVICES shows as this device, or -1 */
int current_card(void);
int fail(int error);                            /* notes the error for cudaGetLastError and returns it */
int reach(void);                                /* the error of a card that is not there or was lost */
#endif
