/*
 * archive: an object file as the one member of a static library, with the index that linkers ask
 * for.
 */
#include "runtime/runtime.h"

#include <elf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct names { /* of what the object defines for others, each ended by 0 */
    char *text;
    size_t size;
    uint32_t count;
};

static bool lies_in(const struct run_bytes *object, uint64_t offset, uint64_t size)
{
    return offset <= object->length && size <= object->length - offset;
}

/* The global symbols of an object that our own compiler has just made: ELF of 64 bits. */
static bool find_names(const struct run_bytes *object, struct names *names)
{
    Elf64_Ehdr head;
    Elf64_Shdr table, strings;
    uint64_t number;

    if (object->length < sizeof head)
        return false;
    memcpy(&head, object->data, sizeof head);
    if (memcmp(head.e_ident, ELFMAG, SELFMAG) != 0 || head.e_ident[EI_CLASS] != ELFCLASS64 ||
        head.e_shentsize != sizeof table ||
        !lies_in(object, head.e_shoff, (uint64_t)head.e_shnum * sizeof table))
        return false;
    for (number = 0; number < head.e_shnum; number++) {
        memcpy(&table, object->data + head.e_shoff + number * sizeof table, sizeof table);
        if (table.sh_type == SHT_SYMTAB)
            break;
    }
    if (number == head.e_shnum || table.sh_link >= head.e_shnum ||
        !lies_in(object, table.sh_offset, table.sh_size))
        return false;
    memcpy(&strings, object->data + head.e_shoff + table.sh_link * sizeof strings, sizeof strings);
    if (!lies_in(object, strings.sh_offset, strings.sh_size))
        return false;
    names->text = malloc(strings.sh_size + 1);
    for (uint64_t at = 0; names->text && at + sizeof(Elf64_Sym) <= table.sh_size;
         at += sizeof(Elf64_Sym)) {
        Elf64_Sym symbol;
        const char *name = (const char *)object->data + strings.sh_offset;

        memcpy(&symbol, object->data + table.sh_offset + at, sizeof symbol);
        if (ELF64_ST_BIND(symbol.st_info) == STB_LOCAL || symbol.st_shndx == SHN_UNDEF ||
            symbol.st_name >= strings.sh_size)
            continue;
        name += symbol.st_name;
        const size_t length = strnlen(name, strings.sh_size - symbol.st_name);
        if (names->size + length + 1 > strings.sh_size)
            return false;
        memcpy(names->text + names->size, name, length);
        names->text[names->size + length] = 0;
        names->size += length + 1;
        names->count++;
    }
    return names->text != NULL;
}

static unsigned char *put_big(unsigned char *to, uint32_t number)
{
    for (int i = 0; i < 4; i++)
        to[i] = (unsigned char)(number >> (24 - 8 * i));
    return to + 4;
}

/* 60 bytes, the same for the same object whenever it is made */
static unsigned char *put_member(unsigned char *to, const char *name, size_t size)
{
    char text[80];

    snprintf(text, sizeof text, "%-16.16s%-12d%-6d%-6d%-8d%-10zu`\n", name, 0, 0, 0, 644, size);
    memcpy(to, text, 60);
    return to + 60;
}

bool run_archive(struct run_bytes *object, const char *member)
{
    static const char magic[] = "!<arch>\n";
    struct names names = { 0 };
    char name[32];
    bool fine = find_names(object, &names);
    const size_t index = 4 + 4 * (size_t)names.count + names.size, even = index + (index & 1);
    const size_t size = 8 + 60 + even + 60 + object->length + (object->length & 1);
    unsigned char *all = fine && size <= UINT32_MAX ? calloc(1, size) : NULL, *to = all;

    if (all) {
        snprintf(name, sizeof name, "%.14s/", member);
        memcpy(to, magic, 8);
        to = put_member(to + 8, "/", even);
        to = put_big(to, names.count);
        for (uint32_t i = 0; i < names.count; i++)
            to = put_big(to, (uint32_t)(8 + 60 + even));
        memcpy(to, names.text, names.size);
        to = put_member(all + 8 + 60 + even, name, object->length);
        memcpy(to, object->data, object->length);
        if (object->length & 1)
            all[size - 1] = '\n';
        run_bytes_free(object);
        *object = (struct run_bytes){ .data = all, .length = size };
    }
    free(names.text);
    return all != NULL;
}
