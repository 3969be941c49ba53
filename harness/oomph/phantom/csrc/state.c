/* state.c - the cards' memory accounts, in a file that all processes of one experiment map.
 *
 * The file is made by phantom_create and found through PHANTOM_STATE (or phantom_attach). A process that dies,
 * however it dies, gives its memory back: every account carries a pid and its start time, and phantom_settle drops
 * those that are gone. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>
#include "phantom.h"

static const char MAGIC[8] = {'O', 'O', 'M', 'P', 'H', 'C', 'R', 'D'};
static const uint64_t SMALL = 1 << 20;          /* CUDA packs allocations under 1 MiB together, 512 bytes apart */

struct phantom_state *phantom_state;
#define state phantom_state
static struct process_state *own;               /* this process's account, once it has used CUDA */
static int state_fd = -1;
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;

/* ---- the file ---- */

static uint64_t now_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return now.tv_sec * 1000000000ull + now.tv_nsec;
}

API int phantom_create(const char *path, int n_cards, const struct phantom_card *cards) {
    static const uint64_t sensors[SENSOR_COUNT] = {
        [SENSOR_POWER_MW] = 60000, [SENSOR_TEMPERATURE_C] = 35, [SENSOR_SM_MHZ] = 2400, [SENSOR_MEMORY_MHZ] = 14000};
    static struct phantom_state fresh;
    if (n_cards < 1 || n_cards > MAX_CARDS) return EINVAL;
    memset(&fresh, 0, sizeof fresh);
    memcpy(fresh.magic, MAGIC, sizeof MAGIC);
    fresh.n_cards = n_cards;
    fresh.size = sizeof fresh;
    for (int i = 0; i < n_cards; i++) {
        struct card_state *each = &fresh.card[i];
        each->card = cards[i];
        each->count.total = cards[i].memory_bytes;
        each->created_ns = now_ns();
        memcpy(each->sensor, sensors, sizeof sensors);
    }
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0) return errno;
    int failed = write(fd, &fresh, sizeof fresh) == sizeof fresh ? 0 : EIO;
    return close(fd) ? EIO : failed;
}

static struct phantom_state *map_state(const char *path) {
    int fd = open(path, O_RDWR | O_CLOEXEC);
    if (fd < 0) return 0;
    struct phantom_state *mapped = mmap(0, sizeof *mapped, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (mapped == MAP_FAILED) { close(fd); return 0; }
    if (memcmp(mapped->magic, MAGIC, sizeof MAGIC) || mapped->size != sizeof *mapped) {
        munmap(mapped, sizeof *mapped);
        close(fd);
        return 0;
    }
    state_fd = fd;
    return mapped;
}

/* Read other cards from now on; an empty path lets go of the present ones. For a process that only looks (NVML). */
API int phantom_attach(const char *path) {
    pthread_mutex_lock(&mutex);
    if (state) { munmap(state, sizeof *state); close(state_fd); state = 0; state_fd = -1; own = 0; }
    if (*path) state = map_state(path);
    pthread_mutex_unlock(&mutex);
    return state || !*path ? 0 : ENOENT;
}

int phantom_lock(void) {
    pthread_mutex_lock(&mutex);
    const char *path = getenv("PHANTOM_STATE");
    if (!state && path && *path) state = map_state(path);
    if (!state) { pthread_mutex_unlock(&mutex); return 0; }
    flock(state_fd, LOCK_EX);
    return 1;
}

void phantom_unlock(void) {
    flock(state_fd, LOCK_UN);
    pthread_mutex_unlock(&mutex);
}

/* ---- the processes ---- */

/* The start time of a live process, 0 for one that is gone or a zombie. */
static uint64_t start_of(uint32_t pid) {
    char path[64], text[1024], status;
    unsigned long long start = 0;
    snprintf(path, sizeof path, "/proc/%u/stat", pid);
    FILE *file = fopen(path, "re");
    if (!file) return 0;
    size_t n = fread(text, 1, sizeof text - 1, file);
    fclose(file);
    text[n] = 0;
    char *rest = strrchr(text, ')');            /* the command's name may hold anything, even blanks */
    if (!rest || sscanf(rest + 1, " %c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d %*d %*d %llu",
                        &status, &start) != 2) return 0;
    return status == 'Z' || status == 'X' ? 0 : start;
}

static void settle_share(struct share *share, struct phantom_counters *card) {
    share->used = share->context + share->large + ROUND_UP(share->small, GRAIN);
    card->used += share->used;
    card->live += share->live;
}

void phantom_settle(void) {
    for (uint32_t i = 0; i < state->n_cards; i++) state->card[i].count.used = state->card[i].count.live = 0;
    for (struct process_state *each = state->process; each < state->process + MAX_PROCESSES; each++) {
        if (!each->pid) continue;
        if (each != own && start_of(each->pid) != each->start) { memset(each, 0, sizeof *each); continue; }
        for (uint32_t i = 0; i < state->n_cards; i++) settle_share(&each->on[i], &state->card[i].count);
    }
    for (uint32_t i = 0; i < state->n_cards; i++) {
        struct phantom_counters *count = &state->card[i].count;
        if (count->used > count->peak) count->peak = count->used;
    }
}

static struct process_state *free_account(void) {
    for (struct process_state *each = state->process; each < state->process + MAX_PROCESSES; each++)
        if (!each->pid) return each;
    return 0;
}

int phantom_join(void) {
    if (__atomic_load_n(&own, __ATOMIC_ACQUIRE)) return 1;
    if (!phantom_lock()) return 0;
    if (!own) {
        phantom_settle();
        struct process_state *account = free_account();
        if (account) {
            account->pid = getpid();
            account->start = start_of(account->pid);
            __atomic_store_n(&own, account, __ATOMIC_RELEASE);
        }
    }
    phantom_unlock();
    return own != 0;
}

__attribute__((destructor)) static void leave(void) {
    if (!own || !phantom_lock()) return;
    memset(own, 0, sizeof *own);
    own = 0;
    phantom_settle();
    phantom_unlock();
}

/* ---- the accounts, under the lock ---- */

int phantom_charge(int card, uint64_t bytes) {
    struct share *share = &own->on[card], before;
    struct phantom_counters *count = &state->card[card].count;
    phantom_settle();
    before = *share;
    share->context = state->card[card].card.context_bytes;
    if (bytes < SMALL) share->small += ROUND_UP(bytes, 512);
    else share->large += ROUND_UP(bytes, GRAIN);
    uint64_t wanted = share->context + share->large + ROUND_UP(share->small, GRAIN);
    if (count->used - before.used + wanted > count->total) {
        *share = before;
        count->n_refused++;
        count->refused_bytes = bytes;
        return 0;
    }
    share->live += bytes;
    count->n_alloc += bytes > 0;                /* else it is the context alone */
    phantom_settle();
    return 1;
}

void phantom_discharge(int card, uint64_t bytes) {
    if (!own) return;                           /* a destructor of another library, after ours */
    struct share *share = &own->on[card];
    if (bytes < SMALL) share->small -= ROUND_UP(bytes, 512);
    else share->large -= ROUND_UP(bytes, GRAIN);
    share->live -= bytes;
    phantom_settle();
}

/* ---- for the one who experiments ---- */

API int phantom_read(int card, struct phantom_counters *out) {
    if (!phantom_lock()) return ENOENT;
    int known = card >= 0 && card < (int)state->n_cards;
    phantom_settle();
    if (known) *out = state->card[card].count;
    phantom_unlock();
    return known ? 0 : EINVAL;
}

/* The card's highest use counts from now. */
API int phantom_reset_peak(int card) {
    if (!phantom_lock()) return ENOENT;
    int known = card >= 0 && card < (int)state->n_cards;
    phantom_settle();
    if (known) state->card[card].count.peak = state->card[card].count.used;
    phantom_unlock();
    return known ? 0 : EINVAL;
}

API int phantom_set(int card, int sensor, uint64_t value) {
    if (!phantom_lock()) return ENOENT;
    int known = card >= 0 && card < (int)state->n_cards && sensor >= 0 && sensor < SENSOR_COUNT;
    if (known) state->card[card].sensor[sensor] = value;
    phantom_unlock();
    return known ? 0 : EINVAL;
}
