/* Sends a control code to a service, as the `sc` of Windows does and that of Wine does not: control NAME CODE (2 pause, 3 continue). */
#include <stdio.h>
#include <windows.h>

int wmain(int count, wchar_t **words)
{
    SERVICE_STATUS status;
    SC_HANDLE manager = OpenSCManagerW(NULL, NULL, SC_MANAGER_CONNECT), service;

    if (count != 3)
        return 2;
    service = OpenServiceW(manager, words[1], SERVICE_PAUSE_CONTINUE | SERVICE_USER_DEFINED_CONTROL);
    if (service && ControlService(service, wcstoul(words[2], NULL, 10), &status))
        return 0;
    fwprintf(stderr, L"control: error %lu\n", GetLastError());
    return 1;
}
