/* A camera that is not there, for a machine without one: loaded before the program (LD_PRELOAD), it answers for FAKE_CAMERA (a path)
 * what the kernel would, in the kernel's own structures (linux/videodev2.h). Each picture takes the file that FAKE_CAMERA_FRAMES names, with
 * "%d" in it, counted from 0 and begun again when there is no more. FAKE_CAMERA_FORMAT is MJPG or YUYV, FAKE_CAMERA_SIZE e.g. 320x240.
 * While the file FAKE_CAMERA_UNPLUGGED exists, the camera is not there. Built and used by tests/tests/camera.rs. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/videodev2.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/timerfd.h>
#include <unistd.h>

#define BUFFERS 4
#define LENGTH (1 << 20)

static int camera = -1;              /* a timer: readable whenever a picture is due, as a camera is */
static unsigned char *memory[BUFFERS];
static int queue[BUFFERS], queued, streaming;
static unsigned sequence, width, height;

static int unplugged(void) {
    const char *file = getenv("FAKE_CAMERA_UNPLUGGED");
    return file && access(file, F_OK) == 0;
}

static int fail(int error) {
    errno = error;
    return -1;
}

static int open_camera(void) {
    if (unplugged())
        return fail(ENOENT);
    camera = timerfd_create(CLOCK_MONOTONIC, 0);
    queued = streaming = 0;
    width = 320, height = 240;
    sscanf(getenv("FAKE_CAMERA_SIZE") ? getenv("FAKE_CAMERA_SIZE") : "", "%ux%u", &width, &height);
    return camera;
}

static int is_ours(const char *path) {
    const char *ours = getenv("FAKE_CAMERA");
    return ours && strcmp(path, ours) == 0;
}

#define OPEN(name)                                                              \
    int name(const char *path, int flags, ...) {                                \
        static int (*next)(const char *, int, ...);                             \
        va_list list;                                                           \
        va_start(list, flags);                                                  \
        int mode = va_arg(list, int);                                           \
        va_end(list);                                                           \
        if (!next)                                                              \
            next = dlsym(RTLD_NEXT, #name);                                     \
        return is_ours(path) ? open_camera() : next(path, flags, mode);         \
    }
OPEN(open)
OPEN(open64)

int close(int fd) {
    static int (*next)(int);
    if (!next)
        next = dlsym(RTLD_NEXT, "close");
    if (fd == camera)
        camera = -1;
    return next(fd);
}

#define MMAP(name, offset_type)                                                                      \
    void *name(void *at, size_t length, int protection, int flags, int fd, offset_type offset) {     \
        static void *(*next)(void *, size_t, int, int, int, offset_type);                            \
        if (!next)                                                                                   \
            next = dlsym(RTLD_NEXT, #name);                                                          \
        if (fd < 0 || fd != camera)                                                                  \
            return next(at, length, protection, flags, fd, offset);                                  \
        if (offset % LENGTH || offset / LENGTH >= BUFFERS || length != LENGTH)                       \
            return errno = EINVAL, MAP_FAILED;                                                       \
        return memory[offset / LENGTH] =                                                             \
                   next(at, length, protection, MAP_SHARED | MAP_ANONYMOUS, -1, 0);                  \
    }
MMAP(mmap, off_t)
MMAP(mmap64, off64_t)

static unsigned wanted_format(void) {
    const char *name = getenv("FAKE_CAMERA_FORMAT");
    return name && strcmp(name, "YUYV") == 0 ? V4L2_PIX_FMT_YUYV : V4L2_PIX_FMT_MJPEG;
}

static long fill(unsigned char *to) {
    char path[4096];
    for (int again = 0; again < 2; again++) {
        snprintf(path, sizeof path, getenv("FAKE_CAMERA_FRAMES"), sequence);
        FILE *file = fopen(path, "rb");
        if (file) {
            long n = fread(to, 1, LENGTH, file);
            fclose(file);
            return n;
        }
        sequence = 0;
    }
    return 0;
}

static int answer(unsigned long request, void *argument) {
    if (unplugged())
        return fail(ENODEV);
    switch ((unsigned)request) {
    case VIDIOC_QUERYCAP: {
        struct v4l2_capability *capability = argument;
        memset(capability, 0, sizeof *capability);
        strcpy((char *)capability->driver, "fake");
        capability->capabilities = V4L2_CAP_DEVICE_CAPS | V4L2_CAP_VIDEO_CAPTURE | V4L2_CAP_STREAMING | V4L2_CAP_META_CAPTURE;
        capability->device_caps = V4L2_CAP_VIDEO_CAPTURE | V4L2_CAP_STREAMING;
        return 0;
    }
    case VIDIOC_ENUM_FMT: {
        struct v4l2_fmtdesc *format = argument;
        if (format->type != V4L2_BUF_TYPE_VIDEO_CAPTURE || format->index > 1)
            return fail(EINVAL);
        format->pixelformat = format->index == 0 ? V4L2_PIX_FMT_H264 : wanted_format();
        return 0;
    }
    case VIDIOC_S_FMT: {
        struct v4l2_format *format = argument;
        if (format->type != V4L2_BUF_TYPE_VIDEO_CAPTURE)
            return fail(EINVAL);
        struct v4l2_pix_format *pixels = &format->fmt.pix;
        pixels->width = width, pixels->height = height, pixels->pixelformat = wanted_format();
        pixels->bytesperline = wanted_format() == V4L2_PIX_FMT_YUYV ? 2 * width : 0;
        pixels->sizeimage = LENGTH, pixels->field = V4L2_FIELD_NONE;
        return 0;
    }
    case VIDIOC_S_PARM: {
        struct v4l2_streamparm *rate = argument;
        struct v4l2_fract *frame = &rate->parm.capture.timeperframe;
        if (rate->type != V4L2_BUF_TYPE_VIDEO_CAPTURE || !frame->denominator)
            return fail(EINVAL);
        fprintf(stderr, "fake camera: asked for %u/%u s\n", frame->numerator, frame->denominator);
        frame->numerator = 1, frame->denominator = 30;
        return 0;
    }
    case VIDIOC_REQBUFS: {
        struct v4l2_requestbuffers *buffers = argument;
        if (buffers->memory != V4L2_MEMORY_MMAP || buffers->type != V4L2_BUF_TYPE_VIDEO_CAPTURE)
            return fail(EINVAL);
        if (buffers->count > BUFFERS)
            buffers->count = BUFFERS;
        return 0;
    }
    case VIDIOC_QUERYBUF: {
        struct v4l2_buffer *buffer = argument;
        if (buffer->index >= BUFFERS)
            return fail(EINVAL);
        buffer->length = LENGTH, buffer->m.offset = buffer->index * LENGTH;
        return 0;
    }
    case VIDIOC_QBUF: {
        struct v4l2_buffer *buffer = argument;
        if (buffer->index >= BUFFERS || !memory[buffer->index] || queued == BUFFERS)
            return fail(EINVAL);
        queue[queued++] = buffer->index;
        return 0;
    }
    case VIDIOC_DQBUF: {
        struct v4l2_buffer *buffer = argument;
        unsigned long long ticks;
        if (!streaming || !queued)
            return fail(EINVAL);
        if (read(camera, &ticks, sizeof ticks) < 0)
            return -1;
        buffer->index = queue[0];
        memmove(queue, queue + 1, --queued * sizeof *queue);
        buffer->bytesused = fill(memory[buffer->index]);
        /* The third picture was hurt on the way. */
        buffer->flags = V4L2_BUF_FLAG_MAPPED | (sequence == 2 ? V4L2_BUF_FLAG_ERROR : 0);
        buffer->sequence = sequence++;
        buffer->length = LENGTH;
        return 0;
    }
    case VIDIOC_STREAMON: {
        struct itimerspec every = {{0, 33333333}, {0, 33333333}};
        streaming = 1;
        return timerfd_settime(camera, 0, &every, NULL);
    }
    case VIDIOC_STREAMOFF: {
        struct itimerspec never = {{0, 0}, {0, 0}};
        streaming = queued = 0;
        return timerfd_settime(camera, 0, &never, NULL);
    }
    }
    return fail(ENOTTY);
}

int ioctl(int fd, unsigned long request, ...) {
    static int (*next)(int, unsigned long, ...);
    va_list list;
    va_start(list, request);
    void *argument = va_arg(list, void *);
    va_end(list);
    if (!next)
        next = dlsym(RTLD_NEXT, "ioctl");
    return fd >= 0 && fd == camera ? answer(request, argument) : next(fd, request, argument);
}
