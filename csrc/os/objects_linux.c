#include "objects.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct visitor {
    bool (*visit)(const struct sp_object_info *object, void *ctx);
    void *ctx;
};

static struct sp_segment segment_of(const struct dl_phdr_info *info, const ElfW(Phdr) * p)
{
    uintptr_t start = (uintptr_t)(info->dlpi_addr + p->p_vaddr);
    return (struct sp_segment){start, start + p->p_memsz};
}

static int on_object(struct dl_phdr_info *info, size_t size, void *data)
{
    (void)size;
    struct visitor *v = data;
    struct sp_object_info object = {.name = info->dlpi_name == NULL ? "" : info->dlpi_name, .bias = (uintptr_t)info->dlpi_addr};
    for (unsigned i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *p = &info->dlpi_phdr[i];
        struct sp_segment s = segment_of(info, p);
        if (s.end <= s.start) {
            continue;
        }
        if (p->p_type == PT_LOAD && (p->p_flags & PF_X) && object.n_code < SP_OBJECT_SEGMENTS) {
            object.code_offset[object.n_code] = p->p_offset;
            object.code[object.n_code++] = s;
        } else if (p->p_type == PT_GNU_EH_FRAME) {
            object.unwind_header = s;
        } else if (p->p_type == PT_NOTE && object.n_notes < SP_OBJECT_SEGMENTS) {
            object.notes[object.n_notes++] = s;
        }
    }
    for (unsigned i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *p = &info->dlpi_phdr[i];
        struct sp_segment s = segment_of(info, p);
        if (p->p_type == PT_LOAD && s.start <= object.unwind_header.start && object.unwind_header.start < s.end) {
            object.unwind_limit = s.end;
        }
    }
    return v->visit(&object, v->ctx) ? 0 : 1;
}

void sp_objects_each(bool (*visit)(const struct sp_object_info *object, void *ctx), void *ctx)
{
    struct visitor v = {visit, ctx};
    dl_iterate_phdr(on_object, &v);
}

static int count_changes(struct dl_phdr_info *info, size_t size, void *data)
{
    if (size >= offsetof(struct dl_phdr_info, dlpi_subs) + sizeof info->dlpi_subs) {
        *(uint64_t *)data = (uint64_t)info->dlpi_adds << 32 ^ (uint64_t)info->dlpi_subs;
    }
    return 1; /* all say the same */
}

uint64_t sp_objects_changes(void)
{
    uint64_t changes = 0;
    dl_iterate_phdr(count_changes, &changes);
    return changes;
}

/* "start-end perms offset device inode   path" */
static bool parse(char *line, struct sp_mapping *mapping)
{
    char *at;
    mapping->start = strtoul(line, &at, 16);
    if (*at != '-') {
        return false;
    }
    mapping->end = strtoul(at + 1, &at, 16);
    if (*at != ' ' || strlen(at) < 6) {
        return false;
    }
    mapping->executable = at[3] == 'x';
    for (int field = 0; field < 4; field++) { /* perms, offset, device, inode */
        at += strspn(at, " ");
        at += strcspn(at, " ");
    }
    mapping->path = at + strspn(at, " ");
    return true;
}

int sp_mappings_each(bool (*visit)(const struct sp_mapping *mapping, void *ctx), void *ctx)
{
    enum { SIZE = 16384 }; /* a path has at most 4096 bytes, each perhaps written as four */
    int fd = open("/proc/self/maps", O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return -errno;
    }
    char *buffer = malloc(SIZE + 1);
    size_t have = 0;
    bool goes_on = buffer != NULL;
    int err = buffer == NULL ? -ENOMEM : 0;
    while (goes_on) {
        ssize_t got = read(fd, buffer + have, SIZE - have);
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got <= 0) {
            err = got < 0 ? -errno : 0;
            break;
        }
        have += (size_t)got;
        char *line = buffer, *end;
        while (goes_on && (end = memchr(line, '\n', (size_t)(buffer + have - line))) != NULL) {
            struct sp_mapping mapping;
            *end = '\0';
            if (parse(line, &mapping)) {
                goes_on = visit(&mapping, ctx);
            }
            line = end + 1;
        }
        have = (size_t)(buffer + have - line);
        memmove(buffer, line, have);
        if (have == SIZE) {
            break; /* no line is as long as that */
        }
    }
    free(buffer);
    close(fd);
    return err;
}
