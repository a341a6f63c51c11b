/* Preloaded into the program by tests/tests/crash.rs: counts the operations that change files below one folder, and at a
 * chosen one kills the process, cuts the power, or fills the disk. Only names that go through libc are seen.
 *
 *   CRASH_FOLDER   the folder that counts (absolute, without links)
 *   CRASH_COUNT    a file for the number of operations of a run that ends by itself
 *   CRASH_AT       the operation at which it happens, from 1
 *   CRASH_MODE     kill: before the operation, or in the middle of it where it is a write
 *                  power: the same, and of what was not synced by then is lost whatever CRASH_SEED draws: of each file the
 *                         writes since its last sync (all, none, or their content but not their length); of the changes of
 *                         names in each folder since its last sync the last few
 *                  full: from there on, for CRASH_FULL operations, no write and no new file succeeds (ENOSPC)
 *   CRASH_SHADOW   power: a folder on the same file system, for what stood on the disk
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

enum { NONE, KILL, POWER, FULL };
enum { CREATED, RENAMED, UNLINKED };
enum { MOST_FILES = 4096, MOST_CHANGES = 65536 };

/* What stands on the disk of a file that has been written since its last sync. */
struct shadow { dev_t dev; ino_t ino; int number; int dirty; off_t size; };
/* A change of a name that its folder has not synced yet. */
struct change { int what; int lost_to; char *from, *to; };

static struct shadow shadows[MOST_FILES];
static int n_shadows;
static struct change changes[MOST_CHANGES];
static int n_changes, n_saved;
static const char *folder, *shadow_folder, *count_file;
static size_t folder_length;
static long at, count, full = 1000000000;
static int mode;
static unsigned long seed = 1;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static __thread int inside;

__attribute__((constructor)) static void begin(void) {
    const char *text = getenv("CRASH_MODE");
    folder = getenv("CRASH_FOLDER");
    folder_length = folder ? strlen(folder) : 0;
    shadow_folder = getenv("CRASH_SHADOW");
    count_file = getenv("CRASH_COUNT");
    at = getenv("CRASH_AT") ? atol(getenv("CRASH_AT")) : 0;
    if (getenv("CRASH_FULL")) full = atol(getenv("CRASH_FULL"));
    if (getenv("CRASH_SEED")) seed = strtoul(getenv("CRASH_SEED"), NULL, 10) * 2654435761u + 1;
    mode = !text ? NONE : !strcmp(text, "kill") ? KILL : !strcmp(text, "power") ? POWER : !strcmp(text, "full") ? FULL : NONE;
    /* Programs that it starts are not counted; a wrapper that becomes the program (exec) keeps its number. */
    char own[32];
    snprintf(own, sizeof own, "%d", (int)getpid());
    if (!getenv("CRASH_PROCESS")) setenv("CRASH_PROCESS", own, 1);
    else if (strcmp(getenv("CRASH_PROCESS"), own)) { folder = NULL; count_file = NULL; }
}

__attribute__((destructor)) static void end(void) {
    if (!count_file) return;
    inside = 1;
    FILE *file = fopen(count_file, "w");
    if (file) { fprintf(file, "%ld\n", count); fclose(file); }
}

static unsigned long draw(unsigned long below) {
    seed ^= seed << 13; seed ^= seed >> 7; seed ^= seed << 17;
    return (seed >> 11) % below;
}

static int is_ours(const char *path) {
    return folder && !strncmp(path, folder, folder_length) && (path[folder_length] == '/' || !path[folder_length]);
}

/* The absolute path of a name; answers whether it is below the folder. The folder of the name must be there. */
static int full_path(int dir, const char *name, char *out) {
    char base[4096];
    if (name[0] == '/') { snprintf(out, 4096, "%s", name); return is_ours(out); }
    if (dir == AT_FDCWD) { if (!getcwd(base, sizeof base)) return 0; }
    else {
        char link[64];
        snprintf(link, sizeof link, "/proc/self/fd/%d", dir);
        ssize_t n = readlink(link, base, sizeof base - 1);
        if (n < 0) return 0;
        base[n] = 0;
    }
    snprintf(out, 4096, "%.2000s/%.2000s", base, name);
    return is_ours(out);
}

static int path_of(int fd, char *out) {
    char link[64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t n = readlink(link, out, 4095);
    if (n < 0) return 0;
    out[n] = 0;
    return is_ours(out);
}

static int same_folder(const char *path, const char *dir) {
    const char *slash = path ? strrchr(path, '/') : NULL;
    return slash && strlen(dir) == (size_t)(slash - path) && !strncmp(path, dir, slash - path);
}

static void copy(const char *from, const char *to) {
    char block[65536];
    int in = syscall(SYS_openat, AT_FDCWD, from, O_RDONLY | O_CLOEXEC, 0);
    int out = syscall(SYS_openat, AT_FDCWD, to, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    ssize_t n;
    while (in >= 0 && out >= 0 && (n = syscall(SYS_read, in, block, sizeof block)) > 0)
        for (ssize_t done = 0, w; done < n; done += w)
            if ((w = syscall(SYS_write, out, block + done, n - done)) <= 0) break;
    if (in >= 0) close(in);
    if (out >= 0) close(out);
}

static struct shadow *find(const struct stat *s) {
    for (int i = 0; i < n_shadows; i++)
        if (shadows[i].ino == s->st_ino && shadows[i].dev == s->st_dev) return &shadows[i];
    return NULL;
}

static void shadow_name(char *out, const char *kind, int number) { snprintf(out, 4096, "%s/%s%d", shadow_folder, kind, number); }

/* Before the first change of a file since its last sync: keep what stands on the disk, and a name to find it by. */
static void keep(int fd, const char *path) {
    struct stat s;
    char name[4096];
    if (mode != POWER || fstat(fd, &s) || !S_ISREG(s.st_mode)) return;
    struct shadow *shadow = find(&s);
    if (shadow && shadow->dirty) return;
    if (!shadow) {
        if (n_shadows == MOST_FILES) return;
        shadow = &shadows[n_shadows];
        *shadow = (struct shadow){s.st_dev, s.st_ino, n_shadows, 0, 0};
        n_shadows++;
        shadow_name(name, "inode", shadow->number);
        syscall(SYS_linkat, AT_FDCWD, path, AT_FDCWD, name, 0);
    }
    char inode[4096];
    shadow_name(inode, "inode", shadow->number);
    shadow_name(name, "synced", shadow->number);
    copy(inode, name);
    shadow->size = s.st_size;
    shadow->dirty = 1;
}

static void change(int what, const char *from, const char *to, int saved) {
    if (mode != POWER || n_changes == MOST_CHANGES) return;
    changes[n_changes++] = (struct change){what, saved, strdup(from), to ? strdup(to) : NULL};
}

/* Keeps what a name is about to lose; answers its number, or -1 where there is nothing. */
static int save(const char *path) {
    char name[4096];
    if (mode != POWER) return -1;
    shadow_name(name, "lost", n_saved);
    if (syscall(SYS_linkat, AT_FDCWD, path, AT_FDCWD, name, 0)) return -1;
    return n_saved++;
}

static void lose(void) {
    char name[4096], from[4096];
    /* Journals of file systems keep the order of names: a suffix is lost. */
    int kept = n_changes ? (int)draw(n_changes + 1) : 0;
    if (n_changes && draw(3) == 0) kept = 0;
    for (int i = n_changes - 1; i >= kept; i--) {
        struct change *c = &changes[i];
        if (c->what == CREATED) syscall(SYS_unlinkat, AT_FDCWD, c->from, 0);
        if (c->what == RENAMED) syscall(SYS_renameat2, AT_FDCWD, c->to, AT_FDCWD, c->from, 0);
        if (c->lost_to >= 0) {
            shadow_name(name, "lost", c->lost_to);
            syscall(SYS_linkat, AT_FDCWD, name, AT_FDCWD, c->what == RENAMED ? c->to : c->from, 0);
        }
    }
    for (int i = 0; i < n_shadows; i++) {
        struct shadow *s = &shadows[i];
        if (!s->dirty) continue;
        shadow_name(name, "inode", s->number);
        shadow_name(from, "synced", s->number);
        switch (draw(3)) {
        case 0: copy(from, name); break; /* nothing of it had come to the disk (the copy truncates and keeps the inode) */
        case 1: break;                   /* all of it had */
        default: {                       /* its length had, its new content had not */
            struct stat now;
            if (stat(name, &now)) break;
            copy(from, name);
            syscall(SYS_truncate, name, now.st_size);
        }
        }
    }
}

/* Counts the next operation. Answers 0 to go on, 1 to fail with ENOSPC, -1 to die. */
static int step(int may_fail) {
    if (inside) return 0;
    count++;
    if (!at || count < at) return 0;
    if (mode == FULL) return may_fail && count < at + full;
    if (count > at) return 0;
    return -1;
}

static void die(void) {
    inside = 1;
    if (mode == POWER) lose();
    syscall(SYS_kill, syscall(SYS_getpid), SIGKILL);
    for (;;) pause();
}

static int open_any(int dir, const char *name, int flags, mode_t rights) {
    char path[4096];
    struct stat before;
    if (inside || !(flags & (O_CREAT | O_TRUNC)) || !full_path(dir, name, path))
        return syscall(SYS_openat, dir, name, flags, rights);
    pthread_mutex_lock(&lock);
    int is_new = stat(path, &before) != 0;
    if (is_new || ((flags & O_TRUNC) && before.st_size)) {
        int outcome = step(1);
        if (outcome < 0) die();
        if (outcome) { pthread_mutex_unlock(&lock); errno = ENOSPC; return -1; }
    }
    if (!is_new && (flags & O_TRUNC)) {
        int fd = syscall(SYS_openat, dir, name, O_RDONLY | O_CLOEXEC, 0);
        if (fd >= 0) { keep(fd, path); close(fd); }
    }
    int fd = syscall(SYS_openat, dir, name, flags, rights);
    if (fd >= 0 && is_new) { change(CREATED, path, NULL, -1); keep(fd, path); }
    pthread_mutex_unlock(&lock);
    return fd;
}

#define RIGHTS mode_t rights = 0; if (flags & (O_CREAT | O_TMPFILE)) { va_list rest; va_start(rest, flags); rights = va_arg(rest, mode_t); va_end(rest); }
int open(const char *name, int flags, ...) { RIGHTS return open_any(AT_FDCWD, name, flags, rights); }
int open64(const char *name, int flags, ...) { RIGHTS return open_any(AT_FDCWD, name, flags | O_LARGEFILE, rights); }
int openat(int dir, const char *name, int flags, ...) { RIGHTS return open_any(dir, name, flags, rights); }
int openat64(int dir, const char *name, int flags, ...) { RIGHTS return open_any(dir, name, flags | O_LARGEFILE, rights); }

/* A write of any kind: `half` does the first half of it, `whole` all. */
#define WRITE(fd, bytes, half, whole) \
    char path[4096]; \
    if (inside || !path_of(fd, path)) return whole; \
    struct stat s; \
    if (fstat(fd, &s) || !S_ISREG(s.st_mode)) return whole; \
    pthread_mutex_lock(&lock); \
    keep(fd, path); \
    int outcome = step(1); \
    if (outcome < 0) { if ((bytes) > 1) half; die(); } \
    if (outcome) { pthread_mutex_unlock(&lock); errno = ENOSPC; return -1; } \
    ssize_t done = whole; \
    pthread_mutex_unlock(&lock); \
    return done;

ssize_t write(int fd, const void *data, size_t n) {
    WRITE(fd, n, syscall(SYS_write, fd, data, n / 2), syscall(SYS_write, fd, data, n))
}
ssize_t pwrite(int fd, const void *data, size_t n, off_t offset) {
    WRITE(fd, n, syscall(SYS_pwrite64, fd, data, n / 2, offset), syscall(SYS_pwrite64, fd, data, n, offset))
}
ssize_t pwrite64(int fd, const void *data, size_t n, off64_t offset) {
    WRITE(fd, n, syscall(SYS_pwrite64, fd, data, n / 2, offset), syscall(SYS_pwrite64, fd, data, n, offset))
}
ssize_t writev(int fd, const struct iovec *parts, int n) {
    WRITE(fd, n, syscall(SYS_writev, fd, parts, n / 2), syscall(SYS_writev, fd, parts, n))
}
int ftruncate(int fd, off_t length) { WRITE(fd, 0, (void)0, syscall(SYS_ftruncate, fd, length)) }
int ftruncate64(int fd, off64_t length) { WRITE(fd, 0, (void)0, syscall(SYS_ftruncate, fd, length)) }

static int sync_any(int fd, long call) {
    char path[4096];
    struct stat s;
    if (inside || !path_of(fd, path) || fstat(fd, &s)) return syscall(call, fd);
    pthread_mutex_lock(&lock);
    if (step(0) < 0) die();
    if (S_ISDIR(s.st_mode)) {
        int left = 0;
        for (int i = 0; i < n_changes; i++) {
            struct change c = changes[i];
            if (same_folder(c.from, path) && (!c.to || same_folder(c.to, path))) continue;
            changes[left++] = c;
        }
        n_changes = left;
    } else {
        struct shadow *shadow = find(&s);
        if (shadow) shadow->dirty = 0;
    }
    int result = syscall(call, fd);
    pthread_mutex_unlock(&lock);
    return result;
}
int fsync(int fd) { return sync_any(fd, SYS_fsync); }
int fdatasync(int fd) { return sync_any(fd, SYS_fdatasync); }

static int rename_any(int from_dir, const char *from, int to_dir, const char *to, unsigned flags) {
    char a[4096], b[4096];
    if (inside || !full_path(from_dir, from, a) || !full_path(to_dir, to, b))
        return syscall(SYS_renameat2, from_dir, from, to_dir, to, flags);
    pthread_mutex_lock(&lock);
    if (step(0) < 0) die();
    int saved = save(b);
    int result = syscall(SYS_renameat2, from_dir, from, to_dir, to, flags);
    if (!result) change(RENAMED, a, b, saved);
    pthread_mutex_unlock(&lock);
    return result;
}
int rename(const char *from, const char *to) { return rename_any(AT_FDCWD, from, AT_FDCWD, to, 0); }
int renameat(int a, const char *from, int b, const char *to) { return rename_any(a, from, b, to, 0); }
int renameat2(int a, const char *from, int b, const char *to, unsigned flags) { return rename_any(a, from, b, to, flags); }

int linkat(int from_dir, const char *from, int to_dir, const char *to, int flags) {
    char b[4096];
    if (inside || !full_path(to_dir, to, b)) return syscall(SYS_linkat, from_dir, from, to_dir, to, flags);
    pthread_mutex_lock(&lock);
    int outcome = step(1);
    if (outcome < 0) die();
    int result = outcome ? (errno = ENOSPC, -1) : syscall(SYS_linkat, from_dir, from, to_dir, to, flags);
    if (!result) change(CREATED, b, NULL, -1);
    pthread_mutex_unlock(&lock);
    return result;
}
int link(const char *from, const char *to) { return linkat(AT_FDCWD, from, AT_FDCWD, to, 0); }

int unlinkat(int dir, const char *name, int flags) {
    char path[4096];
    if (inside || !full_path(dir, name, path) || (flags & AT_REMOVEDIR)) return syscall(SYS_unlinkat, dir, name, flags);
    pthread_mutex_lock(&lock);
    if (step(0) < 0) die();
    int saved = save(path);
    int result = syscall(SYS_unlinkat, dir, name, flags);
    if (!result) change(UNLINKED, path, NULL, saved);
    pthread_mutex_unlock(&lock);
    return result;
}
int unlink(const char *name) { return unlinkat(AT_FDCWD, name, 0); }

/* The program ends without destructors. */
void _exit(int status) {
    end();
    syscall(SYS_exit_group, status);
    for (;;) pause();
}
