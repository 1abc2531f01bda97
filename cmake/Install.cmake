# cmake --install: both programs, and the C++ client library as the CMake package mcgw (target mcgw::client) and for
# pkg-config (mcgw-client).
include(CMakePackageConfigHelpers)
include(GNUInstallDirs)

install(TARGETS mcgwd mcgw RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})

set_target_properties(mcgw_client PROPERTIES EXPORT_NAME client)
set_target_properties(mcgw_proto PROPERTIES EXPORT_NAME proto)
target_include_directories(mcgw_client PUBLIC $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>)
# A directory of its own: google/rpc may be there from another package.
set(generated_include ${CMAKE_INSTALL_INCLUDEDIR}/mcgw/generated)
target_include_directories(mcgw_proto PUBLIC $<INSTALL_INTERFACE:${generated_include}>)
install(TARGETS mcgw_client mcgw_proto EXPORT mcgw_targets ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR})
install(DIRECTORY ${PROJECT_SOURCE_DIR}/client/cpp/mcgw DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
install(DIRECTORY ${PROJECT_BINARY_DIR}/proto/google ${PROJECT_BINARY_DIR}/proto/multicast
        DESTINATION ${generated_include} FILES_MATCHING PATTERN "*.h" PATTERN config EXCLUDE PATTERN CMakeFiles EXCLUDE)
install(DIRECTORY ${PROJECT_SOURCE_DIR}/proto/google ${PROJECT_SOURCE_DIR}/proto/multicast
        DESTINATION ${CMAKE_INSTALL_DATADIR}/mcgw/proto FILES_MATCHING PATTERN "*.proto" PATTERN config EXCLUDE)

set(package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/mcgw)
install(EXPORT mcgw_targets NAMESPACE mcgw:: FILE mcgwTargets.cmake DESTINATION ${package_dir})
configure_package_config_file(${CMAKE_CURRENT_LIST_DIR}/mcgwConfig.cmake.in ${PROJECT_BINARY_DIR}/mcgwConfig.cmake
                              INSTALL_DESTINATION ${package_dir})
write_basic_package_version_file(${PROJECT_BINARY_DIR}/mcgwConfigVersion.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${PROJECT_BINARY_DIR}/mcgwConfig.cmake ${PROJECT_BINARY_DIR}/mcgwConfigVersion.cmake
        DESTINATION ${package_dir})

file(RELATIVE_PATH path_to_prefix /prefix/${CMAKE_INSTALL_LIBDIR}/pkgconfig /prefix)
configure_file(${CMAKE_CURRENT_LIST_DIR}/mcgw-client.pc.in ${PROJECT_BINARY_DIR}/mcgw-client.pc @ONLY)
install(FILES ${PROJECT_BINARY_DIR}/mcgw-client.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
