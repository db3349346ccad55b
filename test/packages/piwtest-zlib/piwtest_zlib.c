#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <zlib.h>

static PyObject *checksum(PyObject *self, PyObject *arguments)
{
    const char *bytes;
    Py_ssize_t len;

    (void)self;
    if (!PyArg_ParseTuple(arguments, "y#", &bytes, &len))
        return NULL;
    return PyLong_FromUnsignedLong(crc32(0, (const Bytef *)bytes, (uInt)len));
}

static PyMethodDef methods[] = {
    {"crc32", checksum, METH_VARARGS, "zlib's crc32 of some bytes."},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef module = {
    PyModuleDef_HEAD_INIT,
    .m_name = "piwtest_zlib",
    .m_size = -1,
    .m_methods = methods,
};

PyMODINIT_FUNC PyInit_piwtest_zlib(void)
{
    return PyModule_Create(&module);
}
