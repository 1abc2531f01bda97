# Precompiled headers. Most of a small source's compile time goes into the same few headers, so each kind of target
# shares one set of them. The tidy preset switches them off, so that a missing include is found.
#
# mcgw_precompile(TARGET KIND) with KIND std (the floors below gRPC), grpc, test or grpc_test.

# ccache follows a precompiled header only through a preprocessor directive, see "Precompiled headers" in ccache(1).
if(MCGW_CCACHE AND CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  add_compile_options(-fpch-preprocess)
endif()

set(std_headers
    <algorithm> <array> <atomic> <cstdint> <functional> <map> <memory> <optional> <set> <string> <string_view>
    <unordered_map> <utility> <variant> <vector> <absl/status/statusor.h> <absl/strings/str_cat.h>
    <absl/strings/str_format.h> <absl/strings/str_join.h> <absl/time/time.h> <absl/types/span.h>)
set(grpc_headers <grpcpp/grpcpp.h> <google/protobuf/message.h> <google/protobuf/map.h>)
set(gtest_headers <gmock/gmock.h> <gtest/gtest.h>)

# A target of KIND that has nothing but the precompiled headers.
function(mcgw_precompiled kind)
  cmake_parse_arguments(PRECOMPILED "" "" "LIBRARIES;HEADERS;OPTIONS" ${ARGN})
  set(source ${CMAKE_BINARY_DIR}/precompiled/${kind}.cc)
  if(NOT EXISTS ${source})
    file(WRITE ${source} "")
  endif()
  add_library(mcgw_precompiled_${kind} OBJECT EXCLUDE_FROM_ALL ${source})
  target_link_libraries(mcgw_precompiled_${kind} PRIVATE mcgw_flags ${PRECOMPILED_LIBRARIES})
  target_compile_options(mcgw_precompiled_${kind} PRIVATE ${PRECOMPILED_OPTIONS})
  target_precompile_headers(mcgw_precompiled_${kind} PRIVATE ${PRECOMPILED_HEADERS})
endfunction()

mcgw_precompiled(std HEADERS ${std_headers} LIBRARIES absl::statusor absl::strings absl::str_format absl::time absl::span)
if(MCGW_BUILD_TESTS)
  mcgw_precompiled(test HEADERS ${std_headers} ${gtest_headers}
                   LIBRARIES absl::statusor absl::strings absl::str_format absl::time absl::span GTest::gmock
                   OPTIONS ${mcgw_test_options})
endif()
if(NOT MCGW_FLOORS_ONLY)
  mcgw_precompiled(grpc HEADERS ${std_headers} ${grpc_headers} LIBRARIES gRPC::grpc++ protobuf::libprotobuf)
  if(MCGW_BUILD_TESTS)
    mcgw_precompiled(grpc_test HEADERS ${std_headers} ${grpc_headers} ${gtest_headers}
                     LIBRARIES gRPC::grpc++ protobuf::libprotobuf GTest::gmock OPTIONS ${mcgw_test_options})
  endif()
endif()

function(mcgw_precompile target kind)
  target_precompile_headers(${target} REUSE_FROM mcgw_precompiled_${kind})
endfunction()
