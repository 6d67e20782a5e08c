/* Preloaded into a daemon: while the file $FULMEN_FAULT_SWITCH is there, writes to files under
 * $FULMEN_FAULT_UNDER fail with the error that the file names, EIO or ENOSPC, as a dying or a full disk does it; with
 * SLOW they succeed, but each flush takes a second more. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

#define SLOW (-1)

static int fault_of(int fd)
{
    const char *under = getenv("FULMEN_FAULT_UNDER"), *name = getenv("FULMEN_FAULT_SWITCH");
    char link[64], path[4096], word[16] = "";
    int before = errno, file;
    ssize_t length;

    if (!under || !name || access(name, F_OK) != 0)
        goto none;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    length = readlink(link, path, sizeof path - 1);
    if (length < 0)
        goto none;
    path[length] = 0;
    if (strncmp(path, under, strlen(under)) != 0)
        goto none;
    file = open(name, O_RDONLY | O_CLOEXEC);
    if (file >= 0) {
        ssize_t (*real_read)(int, void *, size_t) = dlsym(RTLD_NEXT, "read");
        length = real_read(file, word, sizeof word - 1);
        close(file);
    }
    errno = before;
    if (strncmp(word, "SLOW", 4) == 0)
        return SLOW;
    return strncmp(word, "ENOSPC", 6) == 0 ? ENOSPC : EIO;
none:
    errno = before;
    return 0;
}

#define FAIL_OR(fd, call)                 \
    int fault = fault_of(fd);             \
    if (fault > 0) { errno = fault; return -1; } \
    return call

#define FAIL_LATE_OR(fd, call)            \
    if (fault_of(fd) == SLOW) sleep(1);   \
    FAIL_OR(fd, call)

#define REAL(name, ...) ((__VA_ARGS__) dlsym(RTLD_NEXT, name))

ssize_t write(int fd, const void *bytes, size_t count)
{
    FAIL_OR(fd, REAL("write", ssize_t (*)(int, const void *, size_t))(fd, bytes, count));
}

ssize_t pwrite(int fd, const void *bytes, size_t count, off_t at)
{
    FAIL_OR(fd, REAL("pwrite", ssize_t (*)(int, const void *, size_t, off_t))(fd, bytes, count, at));
}

ssize_t pwrite64(int fd, const void *bytes, size_t count, off64_t at)
{
    FAIL_OR(fd, REAL("pwrite64", ssize_t (*)(int, const void *, size_t, off64_t))(fd, bytes, count, at));
}

int fsync(int fd)
{
    FAIL_LATE_OR(fd, REAL("fsync", int (*)(int))(fd));
}

int fdatasync(int fd)
{
    FAIL_LATE_OR(fd, REAL("fdatasync", int (*)(int))(fd));
}

int sync_file_range(int fd, off64_t from, off64_t count, unsigned flags)
{
    FAIL_OR(fd, REAL("sync_file_range", int (*)(int, off64_t, off64_t, unsigned))(fd, from, count, flags));
}

int ftruncate64(int fd, off64_t length)
{
    FAIL_OR(fd, REAL("ftruncate64", int (*)(int, off64_t))(fd, length));
}
