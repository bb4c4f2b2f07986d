/* Preloaded into a server: each fsync, fdatasync and syncfs takes at least SLOW_SYNC_MS, as on a clinic's disk, and is
   counted in the file SLOW_SYNC_COUNTS: syncs, syncs of files in a folder "intake", nanoseconds spent in the latter. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

static uint64_t unseen[3], *counts = unseen;
static long least;      /* nanoseconds */

__attribute__((constructor)) static void begin(void)
{
    const char *ms = getenv("SLOW_SYNC_MS"), *path = getenv("SLOW_SYNC_COUNTS");
    int fd = path ? open(path, O_RDWR | O_CLOEXEC) : -1;
    void *map = fd < 0 ? MAP_FAILED : mmap(NULL, sizeof unseen, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (map != MAP_FAILED) counts = map;
    if (fd >= 0) close(fd);
    least = ms ? (long)(atof(ms) * 1e6) : 0;
}

static long since(const struct timespec *begun)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (now.tv_sec - begun->tv_sec) * 1000000000L + now.tv_nsec - begun->tv_nsec;
}

static int in_intake(int fd)
{
    char link[32], name[4096];
    ssize_t n;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    n = readlink(link, name, sizeof name - 1);
    name[n < 0 ? 0 : n] = 0;
    return strstr(name, "/intake/") != NULL;
}

static int slowly(const char *call, int fd)
{
    int (*real)(int) = (int (*)(int))dlsym(RTLD_NEXT, call), of_slot = in_intake(fd), result, error;
    struct timespec begun, rest = {0, 0};
    clock_gettime(CLOCK_MONOTONIC, &begun);
    result = real(fd);
    error = errno;
    for (long left; (left = least - since(&begun)) > 0; nanosleep(&rest, NULL))
        rest = (struct timespec){left / 1000000000L, left % 1000000000L};
    __atomic_add_fetch(&counts[0], 1, __ATOMIC_RELAXED);
    if (of_slot) {
        __atomic_add_fetch(&counts[1], 1, __ATOMIC_RELAXED);
        __atomic_add_fetch(&counts[2], since(&begun), __ATOMIC_RELAXED);
    }
    errno = error;
    return result;
}

int fsync(int fd) { return slowly("fsync", fd); }
int fdatasync(int fd) { return slowly("fdatasync", fd); }
int syncfs(int fd) { return slowly("syncfs", fd); }
