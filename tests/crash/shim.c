/* For LD_PRELOAD: system calls that fail, do nothing, or end the process, while the file CRASH_RULES says so. A line is
 *
 *   CALL ACTION PATTERN
 *
 * CALL is write (pwrite, writev … too), sync (fsync, fdatasync), link, unlink, create (an open that may), mkdir, rename,
 * truncate, space or clock. PATTERN is fnmatch(3)'s, of the file's path (of a link's and a rename's second one). ACTION is an errno, `skip`
 * (nothing is done and 0 returned), or `die`. Of space: nothing is free, whatever ACTION. Of clock: the seconds by which
 * the time of day is wrong; PATTERN does not matter.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

enum { GO_ON = 0, SKIP = -1 };

/* The rules, or nothing where there are none. By system calls of its own: those of libc are ours. */
static int read_rules(char *text, size_t size) {
    const char *path = getenv("CRASH_RULES");
    ssize_t length;
    int fd;
    if (!path || syscall(SYS_access, path, F_OK) != 0)
        return 0;
    fd = (int)syscall(SYS_openat, AT_FDCWD, path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return 0;
    length = syscall(SYS_read, fd, text, size - 1);
    syscall(SYS_close, fd);
    text[length > 0 ? length : 0] = 0;
    return length > 0;
}

/* The action of the first rule of that call whose pattern the path has; NULL for a call without a path. */
static int find_rule(const char *call, const char *path, char *action) {
    char text[4096], name[16], pattern[PATH_MAX], *line, *rest;
    int saved = errno, found = 0;
    if (read_rules(text, sizeof text))
        for (line = strtok_r(text, "\n", &rest); line && !found; line = strtok_r(NULL, "\n", &rest))
            found = sscanf(line, "%15s %31s %4095s", name, action, pattern) == 3 && strcmp(name, call) == 0
                && (!path || fnmatch(pattern, path, FNM_PATHNAME) == 0);
    errno = saved;
    return found;
}

static int judge(const char *call, const char *path) {
    char action[32];
    if (!find_rule(call, path, action))
        return GO_ON;
    if (strcmp(action, "die") == 0)
        kill(getpid(), SIGKILL);
    if (strcmp(action, "skip") == 0)
        return SKIP;
    errno = atoi(action);
    return errno;
}

static const char *path_of(int fd, char *path) {
    char link[64];
    int saved = errno;
    ssize_t length;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    length = readlink(link, path, PATH_MAX);
    path[length > 0 ? length : 0] = 0;
    errno = saved;
    return path;
}

static const char *path_at(int folder, const char *name, char *path) {
    char base[PATH_MAX + 1];
    if (folder == AT_FDCWD || name[0] == '/')
        return name;
    snprintf(path, 2 * PATH_MAX, "%s/%s", path_of(folder, base), name);
    return path;
}

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))
#define JUDGED(call, path, done) \
    do { \
        int verdict = getenv("CRASH_RULES") ? judge(call, path) : GO_ON; \
        if (verdict != GO_ON) \
            return verdict == SKIP ? (done) : -1; \
    } while (0)

#define OF_FILE(result, name, call, parameters, arguments, done) \
    result name parameters { \
        char path[PATH_MAX + 1]; \
        JUDGED(call, path_of(fd, path), done); \
        return REAL(name) arguments; \
    }

OF_FILE(int, fsync, "sync", (int fd), (fd), 0)
OF_FILE(int, fdatasync, "sync", (int fd), (fd), 0)
OF_FILE(ssize_t, write, "write", (int fd, const void *data, size_t length), (fd, data, length), (ssize_t)length)
OF_FILE(ssize_t, pwrite, "write", (int fd, const void *data, size_t length, off_t at), (fd, data, length, at),
        (ssize_t)length)
OF_FILE(ssize_t, pwrite64, "write", (int fd, const void *data, size_t length, off64_t at), (fd, data, length, at),
        (ssize_t)length)
OF_FILE(ssize_t, writev, "write", (int fd, const struct iovec *parts, int count), (fd, parts, count), 0)
OF_FILE(ssize_t, pwritev, "write", (int fd, const struct iovec *parts, int count, off_t at), (fd, parts, count, at), 0)
OF_FILE(ssize_t, pwritev64, "write", (int fd, const struct iovec *parts, int count, off64_t at),
        (fd, parts, count, at), 0)
OF_FILE(int, ftruncate, "truncate", (int fd, off_t length), (fd, length), 0)
OF_FILE(int, ftruncate64, "truncate", (int fd, off64_t length), (fd, length), 0)

#define OF_NAME(name, call, folder, last, parameters, arguments) \
    int name parameters { \
        char path[2 * PATH_MAX]; \
        JUDGED(call, path_at(folder, last, path), 0); \
        return REAL(name) arguments; \
    }

OF_NAME(link, "link", AT_FDCWD, to, (const char *from, const char *to), (from, to))
OF_NAME(linkat, "link", at, to, (int before, const char *from, int at, const char *to, int flags),
        (before, from, at, to, flags))
OF_NAME(unlink, "unlink", AT_FDCWD, name, (const char *name), (name))
OF_NAME(unlinkat, "unlink", at, name, (int at, const char *name, int flags), (at, name, flags))
OF_NAME(mkdir, "mkdir", AT_FDCWD, name, (const char *name, mode_t mode), (name, mode))
OF_NAME(mkdirat, "mkdir", at, name, (int at, const char *name, mode_t mode), (at, name, mode))
OF_NAME(rename, "rename", AT_FDCWD, to, (const char *from, const char *to), (from, to))
OF_NAME(renameat, "rename", at, to, (int before, const char *from, int at, const char *to), (before, from, at, to))

#define OPEN(name, at, parameters, ...) \
    int name parameters { \
        char full[2 * PATH_MAX]; \
        va_list more; \
        mode_t mode; \
        va_start(more, flags); \
        mode = flags & (O_CREAT | __O_TMPFILE) ? va_arg(more, mode_t) : 0; \
        va_end(more); \
        if (flags & O_CREAT) \
            JUDGED("create", path_at(at, path, full), -1); \
        return REAL(name)(__VA_ARGS__, mode); \
    }

OPEN(open, AT_FDCWD, (const char *path, int flags, ...), path, flags)
OPEN(open64, AT_FDCWD, (const char *path, int flags, ...), path, flags)
OPEN(openat, folder, (int folder, const char *path, int flags, ...), folder, path, flags)
OPEN(openat64, folder, (int folder, const char *path, int flags, ...), folder, path, flags)

#define SPACE(name, type) \
    int name(int fd, struct type *found) { \
        char path[PATH_MAX + 1], action[32]; \
        int result = REAL(name)(fd, found); \
        if (result == 0 && find_rule("space", path_of(fd, path), action)) \
            found->f_bfree = found->f_bavail = 0; \
        return result; \
    }

SPACE(fstatvfs, statvfs)
SPACE(fstatvfs64, statvfs64)

static time_t wrong_by(void) {
    char action[32];
    return find_rule("clock", NULL, action) ? atol(action) : 0;
}

int clock_gettime(clockid_t clock, struct timespec *now) {
    int result = REAL(clock_gettime)(clock, now);
    if (result == 0 && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE))
        now->tv_sec += wrong_by();
    return result;
}

int gettimeofday(struct timeval *restrict now, void *restrict zone) {
    int result = REAL(gettimeofday)(now, zone);
    if (result == 0)
        now->tv_sec += wrong_by();
    return result;
}

time_t time(time_t *place) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (place)
        *place = now.tv_sec;
    return now.tv_sec;
}
