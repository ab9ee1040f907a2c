# CMake writes such names into its own files without quotes: what follows would be nonsense.
if(CMAKE_HOST_WIN32)
  set(unbuildable "[;$\n]")
else()
  set(unbuildable "[\";|:\n]|[$][{<]")
endif()
foreach(folder "${CMAKE_CURRENT_SOURCE_DIR}" "${CMAKE_CURRENT_BINARY_DIR}")
  if(folder MATCHES "${unbuildable}")
    message(FATAL_ERROR "CMake can't build in a folder with \\ \" ; | : \${ or $< in its path: "
      "copy this one to another place")
  endif()
endforeach()
