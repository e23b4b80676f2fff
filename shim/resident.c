#include "shim/resident.h"

#include "profile/profile.h"
#include "shim/outside.h"

int resident_parse(const char *text, size_t n, struct resident *to)
{
    size_t at = 0;
    int64_t size = outside_number(text, n, &at);
    int64_t resident = size < 0 ? -1 : outside_number(text, n, &at);
    int64_t shared = resident < 0 ? -1 : outside_number(text, n, &at);
    if (shared < 0)
        return -1;
    to->rss_bytes = (uint64_t)resident * PSHIM_PAGE_BYTES;
    to->anon_bytes = (uint64_t)(resident > shared ? resident - shared : 0) * PSHIM_PAGE_BYTES;
    return 0;
}

int resident_read(struct resident *to)
{
    enum { text_bytes = 128 };
    char text[text_bytes];
    struct outside_reading list[2] = {{"/proc/self/statm", text, sizeof text, 0}, {0}};
    if (outside_read(list) != 0 || list[0].got <= 0)
        return -1;
    return resident_parse(text, (size_t)list[0].got, to);
}
