#include "profile/profile.h"

const char *profile_error_text(int error)
{
    switch (error) {
#define X(id, value, text)                                                                         \
    case PROFILE_##id:                                                                             \
        return text;
        PROFILE_ERRORS(X)
#undef X
    default:
        return "unknown error";
    }
}
