/* The component of the benchmark. Its first act is to look at the clock; then it tells a FIFO when it began to run,
 * and who it is, and waits to be killed. While the file CRASHING/NUMBER exists it crashes instead.
 *
 *     component FIFO NUMBER CRASHING
 *     component                       does nothing at all
 */
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

struct report {
    int64_t began; /* CLOCK_MONOTONIC, in nanoseconds */
    int32_t pid;
    int32_t number;
};

int main(int count, char **arguments)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    if (count < 4)
        return 0;
    struct report report = {now.tv_sec * INT64_C(1000000000) + now.tv_nsec, getpid(), atoi(arguments[2])};
    int fifo = open(arguments[1], O_WRONLY);
    /* So few bytes are written as a whole, or not at all. */
    if (fifo < 0 || write(fifo, &report, sizeof report) != sizeof report)
        return 2;
    close(fifo);
    if (chdir(arguments[3]) == 0 && access(arguments[2], F_OK) == 0)
        return 1;
    for (;;)
        pause();
}
