/* build: -static */
/* A static program: no loader runs, nothing can be preloaded. Leaves a mark where it ran. */
#include <fcntl.h>
#include <unistd.h>

int main(void)
{
    int fd = open("it-ran", O_CREAT | O_WRONLY, 0600);
    return fd < 0 || close(fd);
}
