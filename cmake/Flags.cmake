# Flags of our own code. mcgw_flags is linked by every target that we compile; generated code does not link it.

add_library(mcgw_flags INTERFACE)
target_compile_options(mcgw_flags INTERFACE -Wall -Wextra -Wpedantic -Wshadow -Wnon-virtual-dtor
                                            -Woverloaded-virtual -Wno-missing-field-initializers)
if(CMAKE_CXX_COMPILER_ID MATCHES "Clang")
  target_compile_options(mcgw_flags INTERFACE -Wthread-safety -Werror=thread-safety)
endif()
# When it optimises, GCC 12 takes some moves of short strings for copies out of bounds (GCC bug 105651).
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU" AND CMAKE_CXX_COMPILER_VERSION VERSION_LESS 13)
  target_compile_options(
    mcgw_flags INTERFACE
    "$<$<CONFIG:RelWithDebInfo,Release>:-Wno-array-bounds;-Wno-stringop-overread;-Wno-stringop-overflow;-Wno-restrict>")
endif()
if(MCGW_WERROR)
  target_compile_options(mcgw_flags INTERFACE -Werror)
endif()
target_include_directories(mcgw_flags INTERFACE ${PROJECT_SOURCE_DIR})
# What the tests' own sources add: the libraries under test stay optimised.
set(mcgw_test_options $<$<CONFIG:RelWithDebInfo>:-O0>)
# The same for all that is linked together: headers use it.
if(MCGW_INVARIANTS)
  target_compile_definitions(mcgw_flags INTERFACE MCGW_INVARIANTS=1)
endif()

if(MCGW_SANITIZE)
  add_compile_options(-fsanitize=${MCGW_SANITIZE} -fno-omit-frame-pointer -fno-sanitize-recover=all)
  add_link_options(-fsanitize=${MCGW_SANITIZE})
endif()

# mcgw_floor(NAME SOURCES ... LIBRARIES ... [GRPC]): one library of the server. A floor links only the floors below it.
# GRPC: its sources include gRPC.
function(mcgw_floor name)
  cmake_parse_arguments(FLOOR "GRPC" "" "SOURCES;LIBRARIES" ${ARGN})
  add_library(${name} STATIC ${FLOOR_SOURCES})
  target_link_libraries(${name} PUBLIC ${FLOOR_LIBRARIES} PRIVATE mcgw_flags)
  target_include_directories(${name} PUBLIC ${PROJECT_SOURCE_DIR})
  set_target_properties(${name} PROPERTIES UNITY_BUILD ${MCGW_UNITY_BUILD} UNITY_BUILD_BATCH_SIZE 8)
  if(FLOOR_GRPC)
    mcgw_precompile(${name} grpc)
  else()
    mcgw_precompile(${name} std)
  endif()
endfunction()
