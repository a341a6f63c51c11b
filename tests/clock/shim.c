/* Preloaded into the program by tests/src/clock.rs: every clock that the program reads, and every wait of its own threads, follows
 * a clock that a test moves. The simulated clocks run on as the real ones do, plus what the test has added. A file says how much:
 *
 *   CLOCK_CONTROL  a file of 64-bit numbers: nanoseconds that have passed besides (all clocks); nanoseconds by which the wall
 *                  clock was set besides; whether the disk is full; the number of changes of these; and, written here, the number
 *                  of threads that wait; the last change that all of them have noticed; the numbers of the noticing thread and of the process
 *   CLOCK_DISK     the folder (absolute, without links) whose disk is the full one
 *
 * A thread waits until its own end of the wait, or a signal: whoever changes the clock writes a byte into CLOCK_CONTROL.changed, a
 * pipe, and a thread of this library then interrupts each wait that has an end, until every one has looked at the clock again.
 * Waits in the kernel for sockets and pipes, and those inside of C libraries, are left alone.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/futex.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

enum { SECOND = 1000000000, WAITS = 512 };

struct control { _Atomic int64_t passed, set, full, changes, waiting, noticed, noticer, process; };

/* Waits that have an end: whose, and the last change of the clock that it has seen. */
static struct { _Atomic int64_t thread, seen; } waits[WAITS];

static struct control none, *control = &none;
static const char *disk;
static size_t disk_length;
static long (*raw)(long, ...);
static int (*raw_gettime)(clockid_t, struct timespec *);

static void find(void) {
    if (!raw_gettime) raw_gettime = dlsym(RTLD_NEXT, "clock_gettime");
    if (!raw) raw = dlsym(RTLD_NEXT, "syscall");
}

static void interrupted(int signal) { (void)signal; }

static void *notice(void *pipe) {
    char bytes[64];
    control->process = raw(SYS_getpid);
    control->noticer = raw(SYS_gettid);
    for (;;) {
        if (raw(SYS_read, (int)(intptr_t)pipe, bytes, sizeof bytes) < 0 && errno != EINTR) return NULL;
        int64_t change = control->changes;
        for (int unaware = 1; unaware;) {
            unaware = 0;
            for (int i = 0; i < WAITS; i++) {
                int64_t thread = waits[i].thread;
                if (!thread || waits[i].seen >= change) continue;
                unaware = 1;
                raw(SYS_tgkill, raw(SYS_getpid), thread, SIGRTMAX - 3);
            }
            /* It may have been interrupted just before it began to wait, and is told again. */
            struct timespec moment = {0, SECOND / 10000};
            if (unaware) raw(SYS_clock_nanosleep, CLOCK_MONOTONIC, 0, &moment, NULL);
        }
        control->noticed = change;
    }
}

static void begin_to_notice(const char *control_path) {
    char path[PATH_MAX];
    pthread_t thread;
    /* The program's own signals go to its own threads. */
    sigset_t all, before;
    struct sigaction action = {.sa_handler = interrupted, .sa_flags = SA_RESTART};
    snprintf(path, sizeof path, "%s.changed", control_path);
    int pipe = mkfifo(path, 0600) ? -1 : raw(SYS_openat, AT_FDCWD, path, O_RDWR | O_CLOEXEC, 0);
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    if (pipe < 0 || sigaction(SIGRTMAX - 3, &action, NULL) || pthread_create(&thread, NULL, notice, (void *)(intptr_t)pipe)) {
        fprintf(stderr, "clock: %s can't be watched\n", path);
        abort();
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
}

__attribute__((constructor)) static void begin(void) {
    find();
    const char *path = getenv("CLOCK_CONTROL");
    disk = getenv("CLOCK_DISK");
    disk_length = disk ? strlen(disk) : 0;
    if (!path) return;
    int fd = raw(SYS_openat, AT_FDCWD, path, O_RDWR | O_CLOEXEC, 0);
    void *page = fd < 0 ? MAP_FAILED : mmap(NULL, sizeof *control, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (page == MAP_FAILED) { fprintf(stderr, "clock: %s can't be mapped\n", path); abort(); }
    close(fd);
    control = page;
    begin_to_notice(path);
    /* Programs that it starts live in real time. */
    unsetenv("LD_PRELOAD");
}

static int is_wall(clockid_t clock) { return clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE; }

static int is_processor(clockid_t clock) { return clock < 0 || clock == CLOCK_PROCESS_CPUTIME_ID || clock == CLOCK_THREAD_CPUTIME_ID; }

static int64_t now(clockid_t clock) {
    struct timespec t;
    raw_gettime(clock, &t);
    return t.tv_sec * (int64_t)SECOND + t.tv_nsec + control->passed + (is_wall(clock) ? control->set : 0);
}

static int64_t nanoseconds(const struct timespec *t) {
    return t->tv_sec > INT64_MAX / SECOND - 1 ? INT64_MAX : t->tv_sec * (int64_t)SECOND + t->tv_nsec;
}

static struct timespec timespec(int64_t ns) { return (struct timespec){ns / SECOND, ns % SECOND}; }

int clock_gettime(clockid_t clock, struct timespec *t) {
    find();
    if (is_processor(clock)) return raw_gettime(clock, t);
    *t = timespec(now(clock));
    return 0;
}

int gettimeofday(struct timeval *t, void *zone) {
    (void)zone;
    find();
    int64_t ns = now(CLOCK_REALTIME);
    *t = (struct timeval){ns / SECOND, ns % SECOND / 1000};
    return 0;
}

time_t time(time_t *out) {
    find();
    time_t t = now(CLOCK_REALTIME) / SECOND;
    if (out) *out = t;
    return t;
}

/* A wait with an end begins; answers its number. */
static int wait_begins(void) {
    int64_t thread = raw(SYS_gettid);
    for (int i = 0;; i = (i + 1) % WAITS) {
        int64_t nobody = 0;
        if (waits[i].thread) continue;
        if (__atomic_compare_exchange_n((int64_t *)&waits[i].thread, &nobody, thread, 0, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST)) return i;
    }
}

static int sleep_until(clockid_t clock, int64_t end) {
    int wait = wait_begins();
    control->waiting++;
    for (;;) {
        waits[wait].seen = control->changes;
        int64_t left = end - now(clock);
        if (left <= 0) break;
        struct timespec rest = timespec(left);
        raw(SYS_clock_nanosleep, CLOCK_MONOTONIC, 0, &rest, NULL);
    }
    control->waiting--;
    waits[wait].thread = 0;
    return 0;
}

int nanosleep(const struct timespec *span, struct timespec *rest) {
    (void)rest;
    int64_t begun = now(CLOCK_MONOTONIC), ns = nanoseconds(span);
    return sleep_until(CLOCK_MONOTONIC, ns > INT64_MAX - begun ? INT64_MAX : begun + ns);
}

int clock_nanosleep(clockid_t clock, int flags, const struct timespec *span, struct timespec *rest) {
    if (flags & TIMER_ABSTIME) return sleep_until(clock, nanoseconds(span));
    return nanosleep(span, rest);
}

/* A wait on a futex; `end` is INT64_MAX where there is none. */
static long wait_on(uint32_t *word, int private, uint32_t value, clockid_t clock, int64_t end) {
    long result;
    int has_end = end != INT64_MAX, wait = has_end ? wait_begins() : 0;
    control->waiting++;
    for (;;) {
        if (has_end) waits[wait].seen = control->changes;
        int64_t left = has_end ? end - now(clock) : 0;
        if (has_end && left <= 0) { errno = ETIMEDOUT; result = -1; break; }
        struct timespec rest = timespec(left);
        result = raw(SYS_futex, word, FUTEX_WAIT | private, value, has_end ? &rest : NULL, NULL, 0);
        if (!result || (errno != ETIMEDOUT && errno != EINTR)) break;
    }
    int error = errno;
    control->waiting--;
    if (has_end) waits[wait].thread = 0;
    errno = error;
    return result;
}

long syscall(long number, ...) {
    long a[6];
    va_list rest;
    va_start(rest, number);
    for (int i = 0; i < 6; i++) a[i] = va_arg(rest, long);
    va_end(rest);
    find();
    if (number != SYS_futex) return raw(number, a[0], a[1], a[2], a[3], a[4], a[5]);
    int what = a[1] & FUTEX_CMD_MASK, private = a[1] & FUTEX_PRIVATE_FLAG;
    clockid_t clock = a[1] & FUTEX_CLOCK_REALTIME ? CLOCK_REALTIME : CLOCK_MONOTONIC;
    const struct timespec *limit = (void *)a[3];
    if (what == FUTEX_WAIT) {
        int64_t ns = limit ? nanoseconds(limit) : INT64_MAX, begun = now(CLOCK_MONOTONIC);
        return wait_on((void *)a[0], private, a[2], CLOCK_MONOTONIC, ns > INT64_MAX - begun ? INT64_MAX : begun + ns);
    }
    if (what == FUTEX_WAIT_BITSET && (uint32_t)a[5] == FUTEX_BITSET_MATCH_ANY)
        return wait_on((void *)a[0], private, a[2], clock, limit ? nanoseconds(limit) : INT64_MAX);
    return raw(number, a[0], a[1], a[2], a[3], a[4], a[5]);
}

/* How long the machine has been up: what /proc/uptime says. */
static int uptime(void) {
    int64_t ns = now(CLOCK_BOOTTIME);
    int fd = memfd_create("uptime", MFD_CLOEXEC);
    if (fd < 0) return fd;
    dprintf(fd, "%ld.%02ld 0.00\n", (long)(ns / SECOND), (long)(ns % SECOND / (SECOND / 100)));
    lseek(fd, 0, SEEK_SET);
    return fd;
}

static int is_on_disk(const char *path) {
    return disk && control->full && !strncmp(path, disk, disk_length) && (path[disk_length] == '/' || !path[disk_length]);
}

static int is_full(int fd) {
    char link[64], path[PATH_MAX];
    if (!disk || !control->full) return 0;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t n = readlink(link, path, sizeof path - 1);
    if (n < 0) return 0;
    path[n] = 0;
    return is_on_disk(path);
}

static int open_any(int dir, const char *name, int flags, mode_t rights) {
    struct stat s;
    find();
    if (!strcmp(name, "/proc/uptime")) return uptime();
    if ((flags & O_CREAT) && is_on_disk(name) && stat(name, &s)) { errno = ENOSPC; return -1; }
    return raw(SYS_openat, dir, name, flags, rights);
}

#define RIGHTS mode_t rights = 0; if (flags & (O_CREAT | O_TMPFILE)) { va_list rest; va_start(rest, flags); rights = va_arg(rest, mode_t); va_end(rest); }
int open(const char *name, int flags, ...) { RIGHTS return open_any(AT_FDCWD, name, flags, rights); }
int open64(const char *name, int flags, ...) { RIGHTS return open_any(AT_FDCWD, name, flags | O_LARGEFILE, rights); }
int openat(int dir, const char *name, int flags, ...) { RIGHTS return open_any(dir, name, flags, rights); }
int openat64(int dir, const char *name, int flags, ...) { RIGHTS return open_any(dir, name, flags | O_LARGEFILE, rights); }

#define WRITE(call) find(); if (is_full(fd)) { errno = ENOSPC; return -1; } return call;
ssize_t write(int fd, const void *data, size_t n) { WRITE(raw(SYS_write, fd, data, n)) }
ssize_t pwrite(int fd, const void *data, size_t n, off_t at) { WRITE(raw(SYS_pwrite64, fd, data, n, at)) }
ssize_t pwrite64(int fd, const void *data, size_t n, off64_t at) { WRITE(raw(SYS_pwrite64, fd, data, n, at)) }
ssize_t writev(int fd, const struct iovec *parts, int n) { WRITE(raw(SYS_writev, fd, parts, n)) }
int ftruncate(int fd, off_t length) { WRITE(raw(SYS_ftruncate, fd, length)) }
int ftruncate64(int fd, off64_t length) { WRITE(raw(SYS_ftruncate, fd, length)) }
int fallocate(int fd, int mode, off_t at, off_t n) { WRITE(raw(SYS_fallocate, fd, mode, at, n)) }
int fallocate64(int fd, int mode, off64_t at, off64_t n) { WRITE(raw(SYS_fallocate, fd, mode, at, n)) }
