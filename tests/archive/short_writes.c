/* Preloaded: pwrite is interrupted, writes less than it was asked for, or refuses to go past the page cache,
   at random. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#define SECTOR 512

static unsigned seed = 1;

static ssize_t write_some(int fd, const void *data, size_t length, off_t offset)
{
    static ssize_t (*real)(int, const void *, size_t, off_t);
    int chance = rand_r(&seed) % 10, direct = fcntl(fd, F_GETFL) & O_DIRECT;

    if (!real)
        real = (ssize_t (*)(int, const void *, size_t, off_t))dlsym(RTLD_NEXT, "pwrite");
    if (chance == 0 || (chance == 1 && direct)) {
        errno = chance == 0 ? EINTR : EINVAL;
        return -1;
    }
    if (chance < 6 && length > SECTOR) {
        length = 1 + rand_r(&seed) % length;
        if (direct)
            length = length < SECTOR ? SECTOR : length / SECTOR * SECTOR;
    }
    return real(fd, data, length, offset);
}

ssize_t pwrite(int fd, const void *data, size_t length, off_t offset)
{
    return write_some(fd, data, length, offset);
}

ssize_t pwrite64(int fd, const void *data, size_t length, off64_t offset)
{
    return write_some(fd, data, length, offset);
}
