/*
 * Reads what an ELF object says about itself: whom it needs, where it looks for them, which versions of their
 * symbols, and what processor it is for (libelf). objects.c calls it for each object of a wheel.
 *
 * The dynamic section is found and followed as the dynamic linker does it, by program headers and addresses: a
 * file may have no section headers, or ones that lie. Source: System V ABI, chapters 4 and 5; Linux Standard Base,
 * Symbol Versioning.
 */
#include "object.h"

#include <gelf.h>
#include <libelf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "core/memory.h"
#include "core/text.h"

#define SEGMENTS_MAX 1024
#define DYNAMIC_MAX_BYTES (1U << 20)
#define STRINGS_MAX_BYTES (256U << 20)
#define VERSIONS_MAX_BYTES (16U << 20)
#define VERSIONS_MAX 4096            /* entries that are followed: hostile ones may go in circles */
#define ATTRIBUTES_MAX_BYTES (1U << 20)
#define SECTIONS_MAX 65536
#define NAME_MAX_BYTES 4096          /* of a library, or a list of directories */

/* The addresses in the dynamic section, and what they lead to. */
struct dynamic {
    Elf *elf;
    size_t file_len;
    Elf_Data *entries;
    size_t count;
    const char *strings;
    size_t strings_len;
};

bool object_is_magic(const void *start, size_t len)
{
    return len >= SELFMAG && memcmp(start, ELFMAG, SELFMAG) == 0;
}

/* ---- from addresses to bytes ---- */

static bool file_range(Elf *elf, GElf_Addr address, size_t *offset, size_t *len)
{
    size_t count;
    GElf_Phdr segment;

    if (elf_getphdrnum(elf, &count) != 0)
        return false;
    for (size_t i = 0; i < count && i < SEGMENTS_MAX; i++) {
        if (gelf_getphdr(elf, (int)i, &segment) == NULL || segment.p_type != PT_LOAD)
            continue;
        if (address >= segment.p_vaddr && address - segment.p_vaddr < segment.p_filesz) {
            GElf_Xword within = address - segment.p_vaddr;
            if (within > INT64_MAX || segment.p_offset > INT64_MAX - within)
                return false;
            *offset = (size_t)(segment.p_offset + within);
            *len = (size_t)(segment.p_filesz - within);
            return true;
        }
    }
    return false;
}

/* The bytes at an address, at most `max` and no more than the file has, or NULL. */
static Elf_Data *data_at(const struct dynamic *d, GElf_Addr address, size_t max, Elf_Type type)
{
    size_t offset, len;

    if (!file_range(d->elf, address, &offset, &len) || offset >= d->file_len)
        return NULL;
    if (len > d->file_len - offset)
        len = d->file_len - offset;
    Elf_Data *data = elf_getdata_rawchunk(d->elf, (int64_t)offset, len < max ? len : max, type);
    return data != NULL && data->d_buf != NULL ? data : NULL;
}

/* ---- the dynamic section ---- */

static bool find_dynamic(struct dynamic *d)
{
    size_t count;
    GElf_Phdr segment;

    if (elf_getphdrnum(d->elf, &count) != 0)
        return false;
    for (size_t i = 0; i < count && i < SEGMENTS_MAX; i++) {
        if (gelf_getphdr(d->elf, (int)i, &segment) == NULL || segment.p_type != PT_DYNAMIC)
            continue;
        if (segment.p_offset >= d->file_len || segment.p_filesz > d->file_len - segment.p_offset ||
            segment.p_filesz > DYNAMIC_MAX_BYTES)
            return false;
        d->entries = elf_getdata_rawchunk(d->elf, (int64_t)segment.p_offset, segment.p_filesz, ELF_T_DYN);
        if (d->entries == NULL)
            return false;
        d->count = d->entries->d_size / gelf_fsize(d->elf, ELF_T_DYN, 1, EV_CURRENT);
        return true;
    }
    return false;
}

/* The `nth` entry with this tag. */
static bool dynamic_entry(const struct dynamic *d, GElf_Sxword tag, unsigned nth, GElf_Xword *value)
{
    GElf_Dyn entry;

    for (size_t i = 0; i < d->count && gelf_getdyn(d->entries, (int)i, &entry) != NULL; i++) {
        if (entry.d_tag == DT_NULL)
            break;
        if (entry.d_tag == tag && nth-- == 0) {
            *value = entry.d_un.d_val;
            return true;
        }
    }
    return false;
}

static void find_strings(struct dynamic *d)
{
    GElf_Xword address, size;
    Elf_Data *data;

    if (!dynamic_entry(d, DT_STRTAB, 0, &address) || !dynamic_entry(d, DT_STRSZ, 0, &size))
        return;
    data = data_at(d, address, size < STRINGS_MAX_BYTES ? (size_t)size : STRINGS_MAX_BYTES, ELF_T_BYTE);
    if (data == NULL)
        return;
    d->strings = data->d_buf;
    d->strings_len = data->d_size;
}

/* NULL when there is none of sensible length, or it is no text. */
static const char *string_at(const struct dynamic *d, GElf_Xword offset)
{
    if (offset >= d->strings_len)
        return NULL;
    const char *text = d->strings + offset;
    size_t rest = d->strings_len - (size_t)offset;
    const char *nul = memchr(text, '\0', rest < NAME_MAX_BYTES ? rest : NAME_MAX_BYTES);
    return nul != NULL && text_is_utf8(text, (size_t)(nul - text)) ? text : NULL;
}

static char *dynamic_text(const struct dynamic *d, GElf_Sxword tag)
{
    GElf_Xword offset;
    return dynamic_entry(d, tag, 0, &offset) ? mem_text(string_at(d, offset)) : NULL;
}

static void read_needed(const struct dynamic *d, struct wheel_object *o)
{
    GElf_Xword offset;

    o->needed = mem_new(WHEEL_MAX_NEEDED, sizeof *o->needed);
    for (unsigned i = 0; i < WHEEL_MAX_NEEDED && dynamic_entry(d, DT_NEEDED, i, &offset); i++) {
        const char *name = string_at(d, offset);
        if (name != NULL && name[0] != '\0')
            o->needed[o->needed_count++] = mem_text(name);
    }
}

/* ---- versions of symbols ---- */

/* "GLIBC_2.34" with the prefix "GLIBC_": keeps the higher. Others, such as GLIBC_PRIVATE, are no versions. */
static void keep_higher(const char *name, const char *prefix, unsigned highest[3])
{
    unsigned v[3] = {0};
    char end;

    if (!text_starts(name, prefix) || strlen(name) > 32)
        return;
    int found = sscanf(name + strlen(prefix), "%4u.%4u.%4u%c", &v[0], &v[1], &v[2], &end);
    if (found < 2 || found > 3)
        return;
    for (unsigned i = 0; i < 3; i++) {
        if (v[i] == highest[i])
            continue;
        if (v[i] > highest[i])
            memcpy(highest, v, sizeof v);
        return;
    }
}

static void read_library_versions(const struct dynamic *d, Elf_Data *data, int at, unsigned count, unsigned *followed,
                                  struct wheel_object *o)
{
    GElf_Vernaux version;

    for (unsigned i = 0; i < count && *followed < VERSIONS_MAX; i++, (*followed)++) {
        if (at < 0 || gelf_getvernaux(data, at, &version) == NULL)
            return;
        const char *name = string_at(d, version.vna_name);
        if (name != NULL) {
            keep_higher(name, "GLIBC_", o->glibc);
            keep_higher(name, "GLIBCXX_", o->glibcxx);
        }
        if (version.vna_next == 0 || version.vna_next > VERSIONS_MAX_BYTES)
            return;
        at += (int)version.vna_next;
    }
}

static void read_versions(const struct dynamic *d, struct wheel_object *o)
{
    GElf_Xword address;
    GElf_Verneed library;
    unsigned followed = 0;
    int at = 0;

    if (!dynamic_entry(d, DT_VERNEED, 0, &address))
        return;
    Elf_Data *data = data_at(d, address, VERSIONS_MAX_BYTES, ELF_T_VNEED);
    while (data != NULL && followed++ < VERSIONS_MAX && gelf_getverneed(data, at, &library) != NULL) {
        if (library.vn_aux <= VERSIONS_MAX_BYTES)
            read_library_versions(d, data, at + (int)library.vn_aux, library.vn_cnt, &followed, o);
        if (library.vn_next == 0 || library.vn_next > VERSIONS_MAX_BYTES - (unsigned)at)
            return;
        at += (int)library.vn_next;
    }
}

/* ---- the processor ---- */

static bool arm_runs_on_v6(Elf *elf, bool big_endian)
{
    Elf_Scn *section = NULL;
    GElf_Shdr header;
    bool told = false;

    for (unsigned i = 0; i < SECTIONS_MAX && (section = elf_nextscn(elf, section)) != NULL; i++) {
        if (gelf_getshdr(section, &header) == NULL || header.sh_type != SHT_ARM_ATTRIBUTES)
            continue;
        Elf_Data *data = header.sh_size <= ATTRIBUTES_MAX_BYTES ? elf_rawdata(section, NULL) : NULL;
        if (data == NULL || data->d_buf == NULL || !object_arm_runs_on_v6(data->d_buf, data->d_size, big_endian))
            return false;
        told = true;
    }
    return told;
}

/* ---- one object ---- */

static void read_dynamic(Elf *elf, size_t file_len, struct wheel_object *o)
{
    struct dynamic d = {.elf = elf, .file_len = file_len};

    o->loadable = find_dynamic(&d);
    if (!o->loadable)
        return;
    find_strings(&d);
    o->soname = dynamic_text(&d, DT_SONAME);
    o->rpath = dynamic_text(&d, DT_RPATH);
    o->runpath = dynamic_text(&d, DT_RUNPATH);
    read_needed(&d, o);
    read_versions(&d, o);
}

bool object_read(int fd, struct wheel_object *o)
{
    GElf_Ehdr header;
    struct stat st;

    elf_version(EV_CURRENT);
    Elf *elf = elf_begin(fd, ELF_C_READ_MMAP, NULL);
    o->sound = elf != NULL && fstat(fd, &st) == 0 && elf_kind(elf) == ELF_K_ELF && gelf_getehdr(elf, &header) != NULL;
    if (o->sound) {
        o->machine = header.e_machine;
        o->bits = gelf_getclass(elf) == ELFCLASS64 ? 64 : 32;
        o->big_endian = header.e_ident[EI_DATA] == ELFDATA2MSB;
        o->armv6 = o->machine == EM_ARM && arm_runs_on_v6(elf, o->big_endian);
        read_dynamic(elf, (size_t)st.st_size, o);
    }
    elf_end(elf);
    return o->sound;
}

void object_release(struct wheel_object *o)
{
    for (unsigned i = 0; i < o->needed_count; i++)
        free(o->needed[i]);
    free(o->needed);
    free(o->path);
    free(o->soname);
    free(o->rpath);
    free(o->runpath);
    memset(o, 0, sizeof *o);
}
