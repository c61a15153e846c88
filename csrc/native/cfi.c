#include "cfi.h"

#include "cursor.h"
#include "program.h"

/* How an address is encoded (DW_EH_PE_*). */
#define ENC_OMIT 0xff
#define ENC_FORMAT 0x0f
#define ENC_BASE 0x70
#define ENC_PC_RELATIVE 0x10
#define ENC_DATA_RELATIVE 0x30
#define ENC_INDIRECT 0x80

static uint64_t address_of(const struct sp_cfi *cfi, const uint8_t *at)
{
    return cfi->address + (uint64_t)(at - cfi->bytes);
}

static uint64_t take_value(struct sp_cursor *c, unsigned format)
{
    switch (format & ENC_FORMAT) {
    case 0x00: /* an address */
    case 0x04:
    case 0x0c:
        return sp_take(c, 8);
    case 0x01:
        return sp_take_uleb(c);
    case 0x02:
        return sp_take(c, 2);
    case 0x03:
        return sp_take(c, 4);
    case 0x09:
        return (uint64_t)sp_take_sleb(c);
    case 0x0a:
        return (uint64_t)(int64_t)(int16_t)sp_take(c, 2);
    case 0x0b:
        return (uint64_t)(int64_t)(int32_t)sp_take(c, 4);
    default:
        c->bad = true;
        return 0;
    }
}

static uint64_t take_address(const struct sp_cfi *cfi, struct sp_cursor *c, unsigned encoding)
{
    uint64_t here = address_of(cfi, c->at);
    uint64_t value = take_value(c, encoding);
    switch (encoding & (ENC_BASE | ENC_INDIRECT)) {
    case 0:
        return value;
    case ENC_PC_RELATIVE:
        return value + here;
    case ENC_DATA_RELATIVE:
        return value + cfi->data_address;
    default: /* relative to what only a linker knows */
        c->bad = true;
        return 0;
    }
}

/* What functions have in common. */
struct cie {
    const uint8_t *at;
    struct sp_program_context context;
    unsigned encoding;
    bool sized; /* functions of it have augmentation data */
    bool usable;
    struct sp_cursor instructions;
    struct sp_program_state initial;
};

static void read_augmentation(struct cie *cie, struct sp_cursor *c, const char *letters)
{
    struct sp_cursor data = sp_take_part(c, sp_take_uleb(c));
    cie->sized = true;
    for (const char *letter = letters + 1; *letter != '\0' && !data.bad; letter++) {
        switch (*letter) {
        case 'R':
            cie->encoding = (unsigned)sp_take(&data, 1);
            break;
        case 'L':
            sp_skip(&data, 1);
            break;
        case 'P': {
            unsigned encoding = (unsigned)sp_take(&data, 1);
            if (encoding == 0x50) { /* aligned: nobody knows to what in a copy */
                cie->usable = false;
                return;
            }
            take_value(&data, encoding);
            break;
        }
        case 'S':
            cie->context.signal = true;
            break;
        case 'B': /* aarch64: return addresses are signed with the other key */
        case 'G':
            break;
        default: /* the rest of the data can't be told, but its size could */
            return;
        }
    }
    cie->usable &= !data.bad;
}

/* `entry` is what follows the id of zero. */
static void read_cie(struct cie *cie, struct sp_cursor entry)
{
    *cie = (struct cie){.at = entry.at, .usable = true};
    unsigned version = (unsigned)sp_take(&entry, 1);
    const char *letters = (const char *)entry.at;
    const uint8_t *zero = memchr(entry.at, 0, (size_t)(entry.end - entry.at));
    if ((version != 1 && version != 3 && version != 4) || zero == NULL) {
        cie->usable = false;
        return;
    }
    entry.at = zero + 1;
    if (version == 4) {
        sp_skip(&entry, 2); /* sizes of addresses and segments */
    }
    cie->context.code_factor = sp_take_uleb(&entry);
    cie->context.data_factor = sp_take_sleb(&entry);
    uint64_t column = version == 1 ? sp_take(&entry, 1) : sp_take_uleb(&entry);
    cie->usable = column == SP_REG_RETURN;
    if (letters[0] == 'z') {
        read_augmentation(cie, &entry, letters);
    } else if (letters[0] != '\0') {
        cie->usable = false;
    }
    cie->usable &= !entry.bad;
    sp_program_start(&cie->initial);
    if (cie->usable) {
        cie->usable = sp_program_run(&cie->context, entry, &cie->initial, NULL, 0, UINT64_MAX, NULL);
    }
}

static bool read_function(const struct sp_cfi *cfi, const struct cie *cie, struct sp_cursor entry, const struct sp_cfi_sink *sink)
{
    uint64_t start = take_address(cfi, &entry, cie->encoding);
    uint64_t bytes = take_value(&entry, cie->encoding & ENC_FORMAT);
    if (cie->sized) {
        sp_skip(&entry, sp_take_uleb(&entry));
    }
    if (entry.bad || bytes == 0 || start + bytes < start) {
        return true; /* says nothing about any instruction */
    }
    static const struct sp_rule unknown = {.cfa = SP_CFA_STOP}, after = {.cfa = SP_CFA_NONE};
    if (!sink->begin(sink->ctx, start, start + bytes)) {
        return false;
    }
    if (!cie->usable) {
        return sink->row(sink->ctx, start, &unknown) && sink->row(sink->ctx, start + bytes, &after);
    }
    struct sp_program_state state = cie->initial;
    bool stopped = false;
    if (!sp_program_run(&cie->context, entry, &state, sink, start, start + bytes, &stopped) && !stopped) {
        stopped = !sink->row(sink->ctx, state.last_row, &unknown);
    }
    return !stopped && sink->row(sink->ctx, start + bytes, &after);
}

enum sp_cfi_end sp_cfi_read(const struct sp_cfi *cfi, const struct sp_cfi_sink *sink)
{
    struct sp_cursor all = {cfi->bytes, cfi->bytes + cfi->size, false};
    struct cie cie = {.at = NULL};
    while (all.at < all.end) {
        uint64_t length = sp_take(&all, 4);
        if (length == 0xffffffff) {
            length = sp_take(&all, 8);
        }
        if (length == 0 && !all.bad) {
            return SP_CFI_WHOLE;
        }
        struct sp_cursor entry = sp_take_part(&all, length);
        const uint8_t *id_at = entry.at;
        uint64_t id = sp_take(&entry, 4); /* in .eh_frame also after a length of 8 bytes */
        if (all.bad || entry.bad) {
            return SP_CFI_CORRUPT;
        }
        if (id == 0) {
            continue; /* read when a function refers to it */
        }
        if (id > (uint64_t)(id_at - cfi->bytes)) {
            return SP_CFI_CORRUPT;
        }
        struct sp_cursor common = {id_at - id, cfi->bytes + cfi->size, false};
        uint64_t common_bytes = sp_take(&common, 4);
        if (common_bytes == 0xffffffff) {
            common_bytes = sp_take(&common, 8);
        }
        common = sp_take_part(&common, common_bytes);
        if (sp_take(&common, 4) != 0 || common.bad) {
            return SP_CFI_CORRUPT;
        }
        if (cie.at != common.at) {
            read_cie(&cie, common);
        }
        if (!read_function(cfi, &cie, entry, sink)) {
            return SP_CFI_STOPPED;
        }
    }
    return SP_CFI_WHOLE;
}

uint64_t sp_cfi_find(const uint8_t *header, size_t size, uint64_t address)
{
    struct sp_cfi as_section = {header, size, address, address};
    struct sp_cursor c = {header, header + size, false};
    uint64_t version = sp_take(&c, 1);
    unsigned encoding = (unsigned)sp_take(&c, 1);
    sp_skip(&c, 2);
    if (version != 1 || encoding == ENC_OMIT) {
        return 0;
    }
    uint64_t found = take_address(&as_section, &c, encoding);
    return c.bad ? 0 : found;
}
