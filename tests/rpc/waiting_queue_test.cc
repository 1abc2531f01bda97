#include "server/rpc/waiting_queue.h"

#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <fstream>
#include <string>
#include <thread>

#include "grpcpp/generic/async_generic_service.h"
#include "grpcpp/server.h"
#include "gtest/gtest.h"

namespace mcgw::rpc {
namespace {

// The number of the system call that a thread of this process waits in: seen twice in a row. Empty where the kernel
// does not tell.
std::string WaitsIn(pid_t thread) {
  std::string before;
  while (true) {
    std::ifstream file("/proc/self/task/" + std::to_string(thread) + "/syscall");
    std::string word;
    file >> word;
    if (word != "running" && word == before) return word;
    before = word;
    std::this_thread::yield();
  }
}

// No other thread could poll, so a thread that polled at all would be the one that does.
TEST(WaitingQueue, ItsThreadWaitsWithoutPolling) {
  grpc::AsyncGenericService service;
  grpc::ServerBuilder builder;
  builder.RegisterAsyncGenericService(&service);
  const std::unique_ptr<grpc::ServerCompletionQueue> queue = AddWaitingQueue(&builder);
  const std::unique_ptr<grpc::Server> server = builder.BuildAndStart();
  ASSERT_NE(server, nullptr);
  std::atomic<pid_t> thread_id{0};
  std::atomic<bool> ended{false};
  std::thread thread([&] {
    thread_id = static_cast<pid_t>(syscall(SYS_gettid));
    void* tag = nullptr;
    bool ok = false;
    ended = !queue->Next(&tag, &ok);
  });
  while (thread_id == 0) std::this_thread::yield();
  const std::string waits_in = WaitsIn(thread_id);
  server->Shutdown();
  queue->Shutdown();
  thread.join();
  EXPECT_TRUE(ended);
  if (waits_in.empty()) GTEST_SKIP() << "the kernel does not tell what a thread waits in";
  EXPECT_EQ(waits_in, std::to_string(SYS_futex));
}

}  // namespace
}  // namespace mcgw::rpc
