/* For LD_PRELOAD: syncs that are left out, and a process that dies where it would sync. Patterns are fnmatch(3)'s.
 *
 *   CRASH_SWALLOW=PATTERN            fsync and fdatasync of such files return 0 and do nothing
 *   CRASH_DIE=PATTERN CRASH_DIE_IF=FILE   such a sync ends the process instead, once FILE exists
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fnmatch.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static int is(const char *variable, int fd) {
    const char *pattern = getenv(variable);
    char link[64], path[PATH_MAX + 1];
    ssize_t length;
    if (!pattern)
        return 0;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    length = readlink(link, path, PATH_MAX);
    if (length < 0)
        return 0;
    path[length] = 0;
    return fnmatch(pattern, path, FNM_PATHNAME) == 0;
}

static int sync_with(const char *name, int fd) {
    int (*real)(int) = (int (*)(int))dlsym(RTLD_NEXT, name);
    if (is("CRASH_DIE", fd) && access(getenv("CRASH_DIE_IF"), F_OK) == 0)
        kill(getpid(), SIGKILL);
    return is("CRASH_SWALLOW", fd) ? 0 : real(fd);
}

int fsync(int fd) { return sync_with("fsync", fd); }
int fdatasync(int fd) { return sync_with("fdatasync", fd); }
