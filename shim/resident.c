#include "shim/resident.h"

#include "profile/profile.h"

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

struct outside_reading resident_question(char *text)
{
    return (struct outside_reading){"/proc/self/statm", text, resident_text_bytes, 0};
}

int resident_answer(const struct outside_reading *reading, struct resident *to)
{
    return reading->got > 0 ? resident_parse(reading->text, (size_t)reading->got, to) : -1;
}

int resident_read(struct resident *to)
{
    char text[resident_text_bytes];
    struct outside_reading list[2] = {resident_question(text), {0}};
    return outside_read(list) == 0 ? resident_answer(list, to) : -1;
}
