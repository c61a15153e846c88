#include "codemap.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "core/err.h"

#define PIECE 4096u

/* The largest .eh_frame that is read. The largest known (a browser's engine, say) have 30 MB. */
#define MOST_UNWIND_BYTES (256u << 20)

static bool copy_all(const struct sp_codemap *cm, void *to, uintptr_t from, size_t bytes)
{
    uint8_t *out = to;
    while (bytes > 0) {
        size_t part = PIECE - from % PIECE < bytes ? PIECE - from % PIECE : bytes;
        if (!cm->copy(cm->copy_ctx, out, from, part)) {
            return false;
        }
        out += part;
        from += part;
        bytes -= part;
    }
    return true;
}

/* ---- what is there now */

/* One object as the loader told of it, the text copied: by the time it is looked at the object may be gone. */
struct found {
    struct sp_object_info info;
    char *path;
    uint32_t number; /* the object of ours that it is */
};

struct listing {
    struct sp_codemap *cm;
    struct sp_array found; /* struct found */
    int err;
};

static char *copied(struct sp_budget *budget, const char *text)
{
    size_t bytes = strlen(text) + 1;
    char *copy = sp_budget_realloc(budget, NULL, 0, bytes);
    if (copy != NULL) {
        memcpy(copy, text, bytes);
    }
    return copy;
}

static void drop_text(struct sp_budget *budget, char *text)
{
    if (text != NULL) {
        sp_budget_free(budget, text, strlen(text) + 1);
    }
}

static bool note_object(const struct sp_object_info *info, void *ctx)
{
    struct listing *l = ctx;
    if (info->n_code == 0) {
        return true;
    }
    l->err = sp_array_reserve(l->cm->budget, &l->found, sizeof(struct found));
    if (l->err != SP_OK) {
        return false;
    }
    struct found *f = &((struct found *)l->found.data)[l->found.len];
    *f = (struct found){*info, copied(l->cm->budget, info->name), 0};
    f->info.name = NULL; /* the loader's */
    if (f->path == NULL) {
        l->err = SP_ERR_LIMIT;
        return false;
    }
    l->found.len++;
    return true;
}

/* The name of the file is the one that the system knows, which is absolute, and says if the file was deleted. */
static bool note_path(const struct sp_mapping *mapping, void *ctx)
{
    struct listing *l = ctx;
    if (mapping->path[0] == '\0' || !mapping->executable) {
        return true;
    }
    struct found *f = l->found.data;
    for (size_t i = 0; i < l->found.len; i++) {
        const struct sp_segment *code = &f[i].info.code[0];
        if (mapping->start < code->end && code->start < mapping->end) {
            char *path = copied(l->cm->budget, mapping->path);
            if (path == NULL) {
                l->err = SP_ERR_LIMIT;
                return false;
            }
            drop_text(l->cm->budget, f[i].path);
            f[i].path = path;
            break;
        }
    }
    return true;
}

/* ---- an object and its table */

static uint64_t fingerprint(const struct sp_codemap *cm, const struct sp_object_info *info)
{
    uint8_t bytes[PIECE];
    size_t size = info->unwind_header.end - info->unwind_header.start;
    size = size < sizeof bytes ? size : sizeof bytes;
    uint64_t sum = 0xcbf29ce484222325ull ^ size; /* FNV-1a */
    if (copy_all(cm, bytes, info->unwind_header.start, size)) {
        for (size_t i = 0; i < size; i++) {
            sum = (sum ^ bytes[i]) * 0x100000001b3ull;
        }
    }
    return sum;
}

static void read_build_id(const struct sp_codemap *cm, const struct sp_object_info *info, struct sp_code_object *object)
{
    enum { GNU_BUILD_ID = 3 };
    for (unsigned i = 0; i < info->n_notes; i++) {
        uint8_t bytes[1024];
        size_t size = info->notes[i].end - info->notes[i].start;
        size = size < sizeof bytes ? size : sizeof bytes;
        if (!copy_all(cm, bytes, info->notes[i].start, size)) {
            continue;
        }
        for (size_t at = 0; at + 12 <= size;) {
            uint32_t head[3]; /* bytes of the name, bytes of the note, kind */
            memcpy(head, bytes + at, sizeof head);
            size_t name = at + sizeof head, value = name + ((size_t)head[0] + 3) / 4 * 4;
            if (value > size || head[1] > size - value) {
                break;
            }
            if (head[2] == GNU_BUILD_ID && head[0] == 4 && memcmp(bytes + name, "GNU", 4) == 0 && head[1] <= SP_BUILD_ID_BYTES) {
                memcpy(object->build_id, bytes + value, head[1]);
                object->build_id_bytes = head[1];
                return;
            }
            at = value + ((size_t)head[1] + 3) / 4 * 4;
        }
    }
}

static int read_table(struct sp_codemap *cm, const struct sp_object_info *info, struct sp_code_object *object)
{
    uint8_t header[32];
    uintptr_t at = info->unwind_header.start;
    size_t header_bytes = info->unwind_header.end - at;
    header_bytes = header_bytes < sizeof header ? header_bytes : sizeof header;
    if (header_bytes == 0 || !copy_all(cm, header, at, header_bytes)) {
        return SP_OK; /* none */
    }
    uint64_t frames = sp_cfi_find(header, header_bytes, at);
    if (frames == 0 || frames >= info->unwind_limit || info->unwind_limit - frames > MOST_UNWIND_BYTES) {
        return SP_OK;
    }
    size_t size = (size_t)(info->unwind_limit - frames);
    uint8_t *bytes = sp_budget_realloc(cm->budget, NULL, 0, size);
    if (bytes == NULL) {
        return SP_ERR_LIMIT;
    }
    int err = SP_OK;
    if (copy_all(cm, bytes, (uintptr_t)frames, size)) {
        struct sp_cfi cfi = {bytes, size, frames, at};
        uintptr_t start = object->code[0].start, end = object->code[object->n_code - 1].end;
        err = sp_table_build(&object->table, &cfi, start, end > start ? end - start : 0, &cm->rules, cm->budget);
        object->has_table = err == SP_OK;
    }
    sp_budget_free(cm->budget, bytes, size);
    return err;
}

static bool has_address(const struct sp_code_object *object, uintptr_t address)
{
    for (unsigned i = 0; i < object->n_code; i++) {
        if (object->code[i].start <= address && address < object->code[i].end) {
            return true;
        }
    }
    return false;
}

static bool is_python_program(const struct sp_code_object *object, bool first)
{
    const char *name = strrchr(object->path, '/');
    return first && strncmp(name == NULL ? object->path : name + 1, "python", 6) == 0;
}

static enum sp_object_role role_of(const struct sp_codemap *cm, const struct sp_code_object *object, bool first)
{
    if (has_address(object, cm->interpreter_code)) {
        return SP_OBJECT_INTERPRETER;
    }
    if (has_address(object, (uintptr_t)abort) || has_address(object, (uintptr_t)pthread_create)
        || has_address(object, (uintptr_t)sp_codemap_init) || is_python_program(object, first)) {
        return SP_OBJECT_RUNTIME;
    }
    return SP_OBJECT_OTHER;
}

static struct sp_code_object **objects_of(const struct sp_codemap *cm)
{
    return cm->objects.data;
}

/* The object of ours that `found` is, made if it is new. */
static int match(struct sp_codemap *cm, struct found *found, bool first)
{
    const struct sp_object_info *info = &found->info;
    uint64_t print = fingerprint(cm, info);
    struct sp_code_object *object = NULL;
    for (size_t i = 0; i < cm->objects.len && object == NULL; i++) {
        struct sp_code_object *o = objects_of(cm)[i];
        if (o->bias == info->bias && o->n_code == info->n_code && o->code[0].start == info->code[0].start
            && o->code[0].end == info->code[0].end && o->fingerprint == print && strcmp(o->path, found->path) == 0) {
            object = o;
            found->number = (uint32_t)i;
        }
    }
    if (object == NULL) {
        if (sp_array_reserve(cm->budget, &cm->objects, sizeof object) != SP_OK) {
            return SP_ERR_LIMIT;
        }
        object = sp_budget_realloc(cm->budget, NULL, 0, sizeof *object);
        if (object == NULL) {
            return SP_ERR_LIMIT;
        }
        *object = (struct sp_code_object){.path = found->path, .bias = info->bias, .n_code = info->n_code, .fingerprint = print};
        found->path = NULL;
        memcpy(object->code, info->code, sizeof object->code);
        memcpy(object->code_offset, info->code_offset, sizeof object->code_offset);
        found->number = (uint32_t)cm->objects.len;
        objects_of(cm)[cm->objects.len++] = object;
        object->role = role_of(cm, object, first);
        read_build_id(cm, info, object);
    }
    object->here = true;
    if (!object->has_table && read_table(cm, info, object) != SP_OK) {
        cm->refused++; /* its frames are followed by their frame pointers, if they have such */
    }
    return SP_OK;
}

/* ---- maps */

static size_t map_bytes(size_t ranges)
{
    return sizeof(struct sp_native_map) + ranges * sizeof(struct sp_code_range);
}

static int by_address(const void *a, const void *b)
{
    const struct sp_code_range *x = a, *y = b;
    return (x->start > y->start) - (x->start < y->start);
}

static struct sp_native_map *map_new(struct sp_codemap *cm, uint32_t generation)
{
    size_t n = 0;
    for (size_t i = 0; i < cm->objects.len; i++) {
        n += objects_of(cm)[i]->here ? objects_of(cm)[i]->n_code : 0;
    }
    struct sp_native_map *map = sp_budget_realloc(cm->budget, NULL, 0, map_bytes(n));
    if (map == NULL) {
        return NULL;
    }
    memset(map, 0, map_bytes(n));
    map->generation = generation;
    map->rules = cm->rules.all;
    map->ranges = (struct sp_code_range *)(void *)(map + 1);
    for (size_t i = 0; i < cm->objects.len; i++) {
        struct sp_code_object *o = objects_of(cm)[i];
        for (unsigned k = 0; o->here && k < o->n_code; k++) {
            map->ranges[map->n++] = (struct sp_code_range){o->code[k].start, o->code[k].end, o->has_table ? &o->table : NULL,
                                                           (uint32_t)i};
        }
        o->last_map = o->here ? generation : o->last_map;
    }
    qsort(map->ranges, map->n, sizeof *map->ranges, by_address);
    return map;
}

static void map_free(struct sp_codemap *cm, struct sp_native_map *map)
{
    if (map != NULL) {
        sp_budget_free(cm->budget, map, map_bytes(map->n));
    }
}

int sp_codemap_init(struct sp_codemap *cm, struct sp_budget *budget, bool (*copy)(void *, void *, uintptr_t, size_t),
                    void *copy_ctx, uintptr_t interpreter_code)
{
    memset(cm, 0, sizeof *cm);
    cm->budget = budget;
    cm->copy = copy;
    cm->copy_ctx = copy_ctx;
    cm->interpreter_code = interpreter_code;
    int err = sp_rules_init(&cm->rules, budget);
    return err == SP_OK ? sp_codemap_refresh(cm) : err;
}

void sp_codemap_free(struct sp_codemap *cm)
{
    if (cm->budget == NULL) {
        return;
    }
    map_free(cm, atomic_load(&cm->current));
    atomic_store(&cm->current, (struct sp_native_map *)NULL);
    map_free(cm, cm->retired);
    cm->retired = NULL;
    for (size_t i = 0; i < cm->objects.len; i++) {
        struct sp_code_object *object = objects_of(cm)[i];
        sp_table_free(&object->table, cm->budget);
        drop_text(cm->budget, object->path);
        sp_budget_free(cm->budget, object, sizeof *object);
    }
    sp_array_free(cm->budget, &cm->objects, sizeof(struct sp_code_object *));
    sp_rules_free(&cm->rules, cm->budget);
}

bool sp_codemap_stale(const struct sp_codemap *cm)
{
    return cm->retired == NULL && sp_objects_changes() != cm->changes;
}

int sp_codemap_refresh(struct sp_codemap *cm)
{
    struct listing l = {.cm = cm};
    uint64_t changes = sp_objects_changes(); /* before the list: what is loaded meanwhile makes for another look */
    sp_objects_each(note_object, &l);
    if (l.err == SP_OK) {
        sp_mappings_each(note_path, &l); /* without /proc: as the loader has them */
    }
    for (size_t i = 0; i < cm->objects.len; i++) {
        objects_of(cm)[i]->here = false;
    }
    cm->refused = 0;
    struct found *found = l.found.data;
    for (size_t i = 0; i < l.found.len && l.err == SP_OK; i++) {
        l.err = match(cm, &found[i], i == 0);
    }
    struct sp_native_map *before = atomic_load(&cm->current);
    struct sp_native_map *map = l.err == SP_OK ? map_new(cm, before == NULL ? 1 : before->generation + 1) : NULL;
    for (size_t i = 0; i < l.found.len; i++) {
        drop_text(cm->budget, found[i].path);
    }
    sp_array_free(cm->budget, &l.found, sizeof(struct found));
    cm->changes = changes; /* also where it failed: it will again, until something changes */
    if (map == NULL) {
        return SP_ERR_LIMIT;
    }
    atomic_store(&cm->current, map);
    cm->retired = before;
    return SP_OK;
}

void sp_codemap_sweep(struct sp_codemap *cm)
{
    map_free(cm, cm->retired);
    cm->retired = NULL;
    uint32_t generation = atomic_load(&cm->current)->generation;
    for (size_t i = 0; i < cm->objects.len; i++) {
        struct sp_code_object *object = objects_of(cm)[i];
        if (object->last_map < generation && object->has_table) {
            sp_table_free(&object->table, cm->budget);
            object->has_table = false;
        }
    }
}

const struct sp_native_map *sp_codemap_of(const struct sp_codemap *cm, uint32_t generation)
{
    const struct sp_native_map *map = atomic_load(&cm->current);
    if (map != NULL && map->generation == generation) {
        return map;
    }
    return cm->retired != NULL && cm->retired->generation == generation ? cm->retired : NULL;
}
