/* A machine whose clock is wrong: loaded into a process (LD_PRELOAD), it adds the seconds in the file
   $WRONG_CLOCK to the time of day. Clocks that only measure how long something takes stay right. */

#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static volatile const int64_t *seconds;

__attribute__((constructor)) static void open_file(void)
{
    int file = open(getenv("WRONG_CLOCK"), O_RDONLY);
    void *mapped = mmap(NULL, sizeof *seconds, PROT_READ, MAP_SHARED, file, 0);
    if (mapped == MAP_FAILED)
        abort();
    seconds = mapped;
}

int clock_gettime(clockid_t clock, struct timespec *now)
{
    int failed = (int)syscall(SYS_clock_gettime, clock, now);
    if (!failed && clock == CLOCK_REALTIME && seconds)
        now->tv_sec += *seconds;
    return failed;
}
