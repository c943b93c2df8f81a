@echo off
rem Controls the Server Supervisor and its components, as documented:
rem
rem   ImageServing.bat start                      the Server Supervisor and all components
rem   ImageServing.bat stop                       all components and the Server Supervisor
rem   ImageServing.bat restart [{ps|is|svg}]      all of it, or one component
rem   ImageServing.bat status [ps|is|svg]         state, uptime and memory of all components, or of one
rem
rem It belongs into install_folder\bin, beside conf, logs and temp, and calls s7supervisor.exe: that of the same folder, else that
rem of the PATH. The components are those of conf\SupervisorRegistry.xml, whatever they are called. It ends with the exit
rem codes of s7supervisor: 0 done; 1 failed; 2 wrong arguments; 3 (of status) stopped or not running; 4 no such component.
setlocal DisableDelayedExpansion

for %%I in ("%~dp0..") do set "INSTALL_FOLDER=%%~fI"
set "REGISTRY=%INSTALL_FOLDER%\conf\SupervisorRegistry.xml"
set "SUPERVISOR=%~dp0s7supervisor.exe"
if not exist "%SUPERVISOR%" set "SUPERVISOR=s7supervisor.exe"

rem The folder of this installation counts, not what the environment says of another.
set "S7_REGISTRY="
set "S7_INSTALL_FOLDER="
set "S7_TEMP="

if not "%~3"=="" goto usage
if "%~1"=="start" if "%~2"=="" goto all
if "%~1"=="stop" if "%~2"=="" goto all
if "%~1"=="restart" if "%~2"=="" goto all
if "%~1"=="status" if "%~2"=="" goto all
if "%~1"=="restart" goto one
if "%~1"=="status" goto one
goto usage

:all
"%SUPERVISOR%" --registry "%REGISTRY%" --install-folder "%INSTALL_FOLDER%" %~1
exit /b %ERRORLEVEL%

:one
rem An ID is never an option.
"%SUPERVISOR%" --registry "%REGISTRY%" --install-folder "%INSTALL_FOLDER%" %~1 -- "%~2"
exit /b %ERRORLEVEL%

:usage
echo usage: ImageServing.bat {start ^| stop ^| restart [ID] ^| status [ID]} 1>&2
exit /b 2
