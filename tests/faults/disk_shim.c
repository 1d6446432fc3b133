/* Between a process and one folder of its disk: notes what is done to the files there, and refuses what it is told to.
 *
 * Loaded with LD_PRELOAD, so that the real program and the real SQLite run above it. What it notes goes to a file that
 * power_cut.py reads. While it notes, a sync is not passed on: what would be lost without it is worked out afterwards.
 * A way past this shim (fallocate, rename, a mapped file other than SQLite's -shm) ends the process loudly.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#define NEXT(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

static char folder[PATH_MAX];
static size_t folder_length;
static int notes = -1;

/* The fault that is due: the calls of the kinds in `faulty` fail from the `fault_after`th on, `fault_times` times. */
static char faulty[8];
static long fault_after, fault_times, calls;
static int fault_error, fault_partial;

void shim_watch(const char *path, const char *notes_path) {
    if (!realpath(path, folder)) abort();
    folder_length = strlen(folder);
    notes = *notes_path ? (int)syscall(SYS_openat, AT_FDCWD, notes_path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600) : -1;
}

void shim_fail(const char *kinds, long after, long times, int error, int partial) {
    snprintf(faulty, sizeof faulty, "%s", kinds);
    fault_after = after, fault_times = times, fault_error = error, fault_partial = partial, calls = 0;
}

long shim_calls(void) { return calls; }

static void note(char kind, int failed, const char *name, uint64_t offset, const void *data, uint32_t length) {
    struct __attribute__((packed)) { char kind; uint8_t failed; uint16_t name_length; uint64_t offset; uint32_t length; }
        head = {kind, failed != 0, (uint16_t)strlen(name), offset, length};
    struct iovec parts[] = {{&head, sizeof head}, {(void *)name, head.name_length}, {(void *)data, length}};
    size_t expected = sizeof head + head.name_length + length;
    if (notes >= 0 && (size_t)syscall(SYS_writev, notes, parts, 3) != expected) abort();
}

void shim_mark(const void *data, uint32_t length) { note('M', 0, "", 0, data, length); }

/* The name of `path` within the folder ("" is the folder itself), or NULL for any other. */
static const char *inside(const char *path) {
    if (!folder_length || strncmp(path, folder, folder_length)) return NULL;
    if (!path[folder_length]) return path + folder_length;
    return path[folder_length] == '/' ? path + folder_length + 1 : NULL;
}

static const char *name_of(int fd, char path[PATH_MAX]) {
    char link[64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = folder_length ? readlink(link, path, PATH_MAX - 1) : -1;
    if (length < 0) return NULL;
    path[length] = 0;
    return inside(path);
}

/* SQLite's index of the log is thrown away when the first process opens the file: nothing in it has to last. */
static int is_noted(const char *name) { return name && !strstr(name, "-shm"); }

static int is_refused(char kind) {
    if (!strchr(faulty, kind) || !*faulty) return 0;
    long number = calls++;
    if (number < fault_after || number >= fault_after + fault_times) return 0;
    errno = fault_error;
    return 1;
}

static ssize_t written(int fd, const void *data, size_t size, off64_t offset, int is_at_offset) {
    char path[PATH_MAX];
    const char *name = name_of(fd, path);
    if (!is_at_offset && name) offset = lseek64(fd, 0, SEEK_CUR);
    if (name && is_refused('W')) {
        if (!fault_partial || size < 2) return -1;
        fault_partial = 0; /* what fitted is written, what did not is refused when it is tried again */
        fault_after++;
        size /= 2;
    }
    ssize_t done = is_at_offset ? NEXT(pwrite64)(fd, data, size, offset) : NEXT(write)(fd, data, size);
    if (done > 0 && is_noted(name)) note('W', 0, name, (uint64_t)offset, data, (uint32_t)done);
    return done;
}

ssize_t write(int fd, const void *data, size_t size) { return written(fd, data, size, 0, 0); }
ssize_t pwrite(int fd, const void *data, size_t size, off_t offset) { return written(fd, data, size, offset, 1); }
ssize_t pwrite64(int fd, const void *data, size_t size, off64_t offset) { return written(fd, data, size, offset, 1); }

static int truncated(int fd, off64_t size) {
    char path[PATH_MAX];
    const char *name = name_of(fd, path);
    if (name && is_refused('T')) return -1;
    int result = NEXT(ftruncate64)(fd, size);
    if (!result && is_noted(name)) note('T', 0, name, (uint64_t)size, NULL, 0);
    return result;
}

int ftruncate(int fd, off_t size) { return truncated(fd, size); }
int ftruncate64(int fd, off64_t size) { return truncated(fd, size); }

static int synced(int fd, int (*real)(int)) {
    char path[PATH_MAX];
    const char *name = name_of(fd, path);
    int refused = name && is_refused('S');
    if (is_noted(name)) note('S', refused, name, 0, NULL, 0);
    return refused ? -1 : (name && notes >= 0) ? 0 : real(fd);
}

int fsync(int fd) { return synced(fd, NEXT(fsync)); }
int fdatasync(int fd) { return synced(fd, NEXT(fdatasync)); }

static int opened(int at, const char *path, int flags, mode_t mode) {
    const char *name = inside(path);
    struct stat before;
    int is_new = name && (flags & O_CREAT) && stat(path, &before) != 0;
    if (name && (flags & O_ACCMODE) != O_RDONLY && is_refused('O')) return -1;
    int fd = (int)syscall(SYS_openat, at, path, flags, mode);
    if (fd >= 0 && is_noted(name) && is_new) note('C', 0, name, 0, NULL, 0);
    if (fd >= 0 && is_noted(name) && !is_new && (flags & O_TRUNC)) note('T', 0, name, 0, NULL, 0);
    return fd;
}

#define MODE(flags, mode) va_list rest; va_start(rest, flags); mode_t mode = (flags) & (O_CREAT | __O_TMPFILE) ? va_arg(rest, mode_t) : 0; va_end(rest)
int open(const char *path, int flags, ...) { MODE(flags, mode); return opened(AT_FDCWD, path, flags, mode); }
int open64(const char *path, int flags, ...) { MODE(flags, mode); return opened(AT_FDCWD, path, flags, mode); }
int openat(int at, const char *path, int flags, ...) { MODE(flags, mode); return opened(at, path, flags, mode); }
int openat64(int at, const char *path, int flags, ...) { MODE(flags, mode); return opened(at, path, flags, mode); }

int unlink(const char *path) {
    const char *name = inside(path);
    if (name && is_refused('U')) return -1;
    int result = NEXT(unlink)(path);
    if (!result && is_noted(name)) note('U', 0, name, 0, NULL, 0);
    return result;
}

static void not_seen(const char *name, const char *call) {
    if (!is_noted(name)) return;
    fprintf(stderr, "disk_shim: %s on %s would go unseen\n", call, name);
    abort();
}

int rename(const char *from, const char *to) {
    not_seen(inside(from), "rename");
    not_seen(inside(to), "rename");
    return NEXT(rename)(from, to);
}

int fallocate64(int fd, int mode, off64_t offset, off64_t size) {
    char path[PATH_MAX];
    not_seen(name_of(fd, path), "fallocate");
    return NEXT(fallocate64)(fd, mode, offset, size);
}

int posix_fallocate64(int fd, off64_t offset, off64_t size) {
    char path[PATH_MAX];
    not_seen(name_of(fd, path), "posix_fallocate");
    return NEXT(posix_fallocate64)(fd, offset, size);
}

void *mmap64(void *address, size_t size, int protection, int flags, int fd, off64_t offset) {
    char path[PATH_MAX];
    if (fd >= 0 && (flags & MAP_SHARED) && (protection & PROT_WRITE)) not_seen(name_of(fd, path), "mmap");
    return NEXT(mmap64)(address, size, protection, flags, fd, offset);
}
