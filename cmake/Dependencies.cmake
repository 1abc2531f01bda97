# What the build takes from the system, all of it from distribution packages (`./dev setup` installs them).

find_package(Threads REQUIRED)
find_package(PkgConfig REQUIRED)

find_package(absl CONFIG REQUIRED)
find_package(spdlog CONFIG REQUIRED)
pkg_check_modules(libmnl REQUIRED IMPORTED_TARGET libmnl)
find_package(OpenSSL 3.0 REQUIRED)
pkg_check_modules(libnghttp2 REQUIRED IMPORTED_TARGET libnghttp2)

if(NOT MCGW_FLOORS_ONLY)
  # Newer Protobuf ships a CMake config, older packages only CMake's own module. The config must come first: it defines
  # the targets that gRPC's config expects.
  find_package(Protobuf CONFIG QUIET)
  if(NOT Protobuf_FOUND)
    find_package(Protobuf REQUIRED)
  endif()
  find_package(gRPC CONFIG REQUIRED)
  find_package(CLI11 CONFIG REQUIRED)
  find_package(yaml-cpp CONFIG REQUIRED)
  pkg_check_modules(libsystemd REQUIRED IMPORTED_TARGET libsystemd)
  if(TARGET yaml-cpp::yaml-cpp)
    set(MCGW_YAML_CPP yaml-cpp::yaml-cpp)
  else()
    set(MCGW_YAML_CPP yaml-cpp)
  endif()
endif()

if(MCGW_BUILD_TESTS)
  find_package(GTest CONFIG REQUIRED)
endif()

find_program(MCGW_CCACHE ccache)
if(MCGW_CCACHE)
  set(CMAKE_CXX_COMPILER_LAUNCHER ${MCGW_CCACHE})
  set(CMAKE_C_COMPILER_LAUNCHER ${MCGW_CCACHE})
endif()
