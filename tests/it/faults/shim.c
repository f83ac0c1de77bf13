// Preloaded into the program: a clock that is wrong and a disk that is full, as the file that
// FAULTS names says at the moment.

#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static const volatile struct {
    int64_t ahead; // by how many seconds the clock is
    int64_t full;
} *faults;

__attribute__((constructor)) static void begin(void) {
    int file = open(getenv("FAULTS"), O_RDONLY);
    faults = mmap(NULL, sizeof *faults, PROT_READ, MAP_SHARED, file, 0);
    if (faults == MAP_FAILED)
        abort();
}

int clock_gettime(clockid_t clock, struct timespec *now) {
    long result = syscall(SYS_clock_gettime, clock, now);
    if (result == 0 && faults && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE))
        now->tv_sec += faults->ahead;
    return (int)result;
}

int gettimeofday(struct timeval *restrict now, void *restrict zone) {
    long result = syscall(SYS_gettimeofday, now, zone);
    if (result == 0 && faults)
        now->tv_sec += faults->ahead;
    return (int)result;
}

time_t time(time_t *now) {
    struct timespec real;
    clock_gettime(CLOCK_REALTIME, &real);
    if (now)
        *now = real.tv_sec;
    return real.tv_sec;
}

// Whether this would make a file longer, for which a full disk has no room.
static int has_no_room(int file, off_t end) {
    struct stat found;
    if (!faults || !faults->full || fstat(file, &found) != 0 || !S_ISREG(found.st_mode))
        return 0;
    errno = ENOSPC;
    return end > found.st_size;
}

ssize_t write(int file, const void *data, size_t size) {
    if (has_no_room(file, lseek(file, 0, SEEK_CUR) + (off_t)size))
        return -1;
    return syscall(SYS_write, file, data, size);
}

ssize_t pwrite64(int file, const void *data, size_t size, off64_t at) {
    if (has_no_room(file, at + (off_t)size))
        return -1;
    return syscall(SYS_pwrite64, file, data, size, at);
}
