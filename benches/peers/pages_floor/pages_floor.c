/* The floor under every way of rendering a document: PDFium's C API and libjpeg-turbo, and nothing else.
 *
 *   pages_floor LIBPDFIUM FILE [PROCESSES [BATCH [DPI [FIRST LAST]]]]
 *
 * PROCESSES processes take every PROCESSES-th batch of BATCH pages. A page is rendered into one reused BGRx buffer, encoded as
 * JPEG (quality 85, 4:2:0) into one reused buffer, and its text is read. Nothing is written. Prints one JSON object.
 */
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <jpeglib.h>

/* From PDFium's public headers (fpdfview.h, fpdf_text.h); only what is used here. */
typedef void *Document, *Page, *Bitmap, *TextPage;
enum { BITMAP_BGRX = 3, RENDER_ANNOTATIONS = 1 };

static struct {
    void (*FPDF_InitLibrary)(void);
    Document (*FPDF_LoadDocument)(const char *path, const char *password);
    int (*FPDF_GetPageCount)(Document);
    Page (*FPDF_LoadPage)(Document, int index);
    float (*FPDF_GetPageWidthF)(Page);
    float (*FPDF_GetPageHeightF)(Page);
    Bitmap (*FPDFBitmap_CreateEx)(int width, int height, int format, void *first_scan, int stride);
    int (*FPDFBitmap_FillRect)(Bitmap, int left, int top, int width, int height, unsigned long color);
    void (*FPDF_RenderPageBitmap)(Bitmap, Page, int x, int y, int width, int height, int rotate, int flags);
    void (*FPDFBitmap_Destroy)(Bitmap);
    TextPage (*FPDFText_LoadPage)(Page);
    int (*FPDFText_CountChars)(TextPage);
    int (*FPDFText_GetText)(TextPage, int start, int count, unsigned short *result);
    void (*FPDFText_ClosePage)(TextPage);
    void (*FPDF_ClosePage)(Page);
    void (*FPDF_CloseDocument)(Document);
} pdfium;

static void fail(const char *what, const char *detail) {
    fprintf(stderr, "pages_floor: %s: %s\n", what, detail ? detail : "");
    exit(1);
}

static void bind_pdfium(const char *path) {
    void *library = dlopen(path, RTLD_NOW);
    if (!library) fail("cannot load PDFium", dlerror());
#define BIND(name) \
    if (!(*(void **)&pdfium.name = dlsym(library, #name))) fail("PDFium has no function", #name)
    BIND(FPDF_InitLibrary);
    BIND(FPDF_LoadDocument);
    BIND(FPDF_GetPageCount);
    BIND(FPDF_LoadPage);
    BIND(FPDF_GetPageWidthF);
    BIND(FPDF_GetPageHeightF);
    BIND(FPDFBitmap_CreateEx);
    BIND(FPDFBitmap_FillRect);
    BIND(FPDF_RenderPageBitmap);
    BIND(FPDFBitmap_Destroy);
    BIND(FPDFText_LoadPage);
    BIND(FPDFText_CountChars);
    BIND(FPDFText_GetText);
    BIND(FPDFText_ClosePage);
    BIND(FPDF_ClosePage);
    BIND(FPDF_CloseDocument);
#undef BIND
}

/* A buffer that only grows. */
typedef struct {
    unsigned char *bytes;
    size_t size;
} Buffer;

static unsigned char *room(Buffer *buffer, size_t size) {
    if (buffer->size < size) {
        free(buffer->bytes);
        buffer->bytes = malloc(size);
        if (!buffer->bytes) fail("no memory", NULL);
        buffer->size = size;
    }
    return buffer->bytes;
}

static unsigned long encode(const unsigned char *pixels, int width, int height, Buffer *out) {
    struct jpeg_compress_struct jpeg;
    struct jpeg_error_mgr errors;
    unsigned char *bytes = room(out, (size_t)width * height * 2 + 65536);
    unsigned long size = out->size;

    jpeg.err = jpeg_std_error(&errors);
    jpeg_create_compress(&jpeg);
    jpeg_mem_dest(&jpeg, &bytes, &size);
    jpeg.image_width = width;
    jpeg.image_height = height;
    jpeg.input_components = 4;
    jpeg.in_color_space = JCS_EXT_BGRX;
    jpeg_set_defaults(&jpeg); /* YCbCr with 4:2:0 */
    jpeg_set_quality(&jpeg, 85, TRUE);
    jpeg_start_compress(&jpeg, TRUE);
    while (jpeg.next_scanline < jpeg.image_height) {
        JSAMPROW rows[16];
        int n = 0;
        for (; n < 16 && jpeg.next_scanline + n < jpeg.image_height; n++)
            rows[n] = (JSAMPROW)(pixels + (size_t)(jpeg.next_scanline + n) * width * 4);
        jpeg_write_scanlines(&jpeg, rows, n);
    }
    jpeg_finish_compress(&jpeg);
    jpeg_destroy_compress(&jpeg);
    if (bytes != out->bytes) free(bytes); /* the library took a larger buffer of its own */
    return size;
}

/* Returns the characters of the page's text. */
static int one_page(Document document, int index, double dpi, Buffer *pixels, Buffer *jpeg, Buffer *text) {
    Page page = pdfium.FPDF_LoadPage(document, index);
    if (!page) fail("a page cannot be loaded", NULL);
    int width = (int)(pdfium.FPDF_GetPageWidthF(page) * dpi / 72 + 0.5);
    int height = (int)(pdfium.FPDF_GetPageHeightF(page) * dpi / 72 + 0.5);
    unsigned char *first = room(pixels, (size_t)width * height * 4);
    Bitmap bitmap = pdfium.FPDFBitmap_CreateEx(width, height, BITMAP_BGRX, first, width * 4);
    pdfium.FPDFBitmap_FillRect(bitmap, 0, 0, width, height, 0xFFFFFFFF);
    pdfium.FPDF_RenderPageBitmap(bitmap, page, 0, 0, width, height, 0, RENDER_ANNOTATIONS);
    encode(first, width, height, jpeg);

    TextPage words = pdfium.FPDFText_LoadPage(page);
    int chars = words ? pdfium.FPDFText_CountChars(words) : 0;
    if (chars > 0) pdfium.FPDFText_GetText(words, 0, chars, (unsigned short *)room(text, (size_t)(chars + 1) * 2));
    if (words) pdfium.FPDFText_ClosePage(words);
    pdfium.FPDFBitmap_Destroy(bitmap);
    pdfium.FPDF_ClosePage(page);
    return chars;
}

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec + t.tv_nsec / 1e9;
}

static double seconds(struct timeval t) { return t.tv_sec + t.tv_usec / 1e6; }

int main(int argc, char **argv) {
    if (argc < 3) fail("usage", "pages_floor LIBPDFIUM FILE [PROCESSES [BATCH [DPI [FIRST LAST]]]]");
    int processes = argc > 3 ? atoi(argv[3]) : 1, batch = argc > 4 ? atoi(argv[4]) : 25;
    double dpi = argc > 5 ? atof(argv[5]) : 150;
    if (processes < 1 || batch < 1 || dpi <= 0) fail("PROCESSES, BATCH and DPI are at least 1", NULL);

    double began = now();
    int counts[2];
    if (pipe(counts)) fail("no pipe", NULL);
    for (int child = 0; child < processes; child++) {
        pid_t pid = fork();
        if (pid < 0) fail("cannot fork", NULL);
        if (pid) continue;
        Buffer pixels = {0}, jpeg = {0}, text = {0};
        long result[2] = {0, 0}; /* pages, characters */
        bind_pdfium(argv[1]);
        pdfium.FPDF_InitLibrary();
        Document document = pdfium.FPDF_LoadDocument(argv[2], NULL);
        if (!document) fail("cannot open", argv[2]);
        int first = argc > 6 ? atoi(argv[6]) - 1 : 0, end = argc > 7 ? atoi(argv[7]) : pdfium.FPDF_GetPageCount(document);
        for (int start = first + child * batch; start < end; start += processes * batch)
            for (int page = start; page < start + batch && page < end; page++) {
                result[1] += one_page(document, page, dpi, &pixels, &jpeg, &text);
                result[0]++;
            }
        pdfium.FPDF_CloseDocument(document);
        if (write(counts[1], result, sizeof result) != sizeof result) fail("cannot report", NULL);
        _exit(0);
    }
    close(counts[1]);
    long pages = 0, characters = 0, result[2];
    while (read(counts[0], result, sizeof result) == sizeof result) pages += result[0], characters += result[1];
    int status, failed = 0;
    while (wait(&status) > 0) failed |= status;
    if (failed) fail("a process failed", NULL);

    struct rusage used;
    getrusage(RUSAGE_CHILDREN, &used);
    double wall = now() - began, cpu = seconds(used.ru_utime) + seconds(used.ru_stime);
    printf("{\"pages\": %ld, \"characters\": %ld, \"wall_s\": %.3f, \"cpu_s\": %.3f, \"pages_per_s\": %.2f, "
           "\"pages_per_cpu_s\": %.2f, \"peak_rss_mib\": %.1f}\n",
           pages, characters, wall, cpu, pages / wall, pages / cpu, used.ru_maxrss / 1024.0);
    return 0;
}
