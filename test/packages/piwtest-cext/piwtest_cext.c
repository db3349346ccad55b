#define PY_SSIZE_T_CLEAN
#include <Python.h>

static PyObject *add(PyObject *self, PyObject *arguments)
{
    long a, b;

    (void)self;
    if (!PyArg_ParseTuple(arguments, "ll", &a, &b))
        return NULL;
    return PyLong_FromLong(a + b);
}

static PyMethodDef methods[] = {
    {"add", add, METH_VARARGS, "The sum of two whole numbers."},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef module = {
    PyModuleDef_HEAD_INIT,
    .m_name = "piwtest_cext",
    .m_size = -1,
    .m_methods = methods,
};

PyMODINIT_FUNC PyInit_piwtest_cext(void)
{
    return PyModule_Create(&module);
}
