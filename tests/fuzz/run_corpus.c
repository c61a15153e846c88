/* Runs a fuzz target over files, one by one, for compilers without libFuzzer: run_corpus FILE... */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int run_file(const char *path)
{
    FILE *file = fopen(path, "rb");
    if (file == NULL) {
        perror(path);
        return -1;
    }
    size_t len = 0, room = 4096;
    uint8_t *data = malloc(room);
    while (data != NULL) {
        len += fread(data + len, 1, room - len, file);
        if (len < room) {
            break;
        }
        room *= 2;
        uint8_t *moved = realloc(data, room);
        if (moved == NULL) {
            free(data);
        }
        data = moved;
    }
    int failed = data == NULL || ferror(file);
    fclose(file);
    if (failed) {
        fprintf(stderr, "%s: cannot be read\n", path);
        free(data);
        return -1;
    }
    /* exactly the file's size, so that a sanitizer sees a read beyond it */
    uint8_t *exact = realloc(data, len > 0 ? len : 1);
    LLVMFuzzerTestOneInput(exact != NULL ? exact : data, len);
    free(exact != NULL ? exact : data);
    return 0;
}

int main(int argc, char **argv)
{
    int failed = 0;
    for (int i = 1; i < argc; i++) {
        failed += run_file(argv[i]) != 0;
    }
    printf("%d passed, %d failed\n", argc - 1 - failed, failed);
    return argc < 2 || failed != 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
