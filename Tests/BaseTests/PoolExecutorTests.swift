// SPDX-License-Identifier: Apache-2.0
// Whole tasks on the threads of a pool.

import Glibc
import Testing

@testable import Base

/// The kernel's name of the calling thread.
private func threadName() -> String {
    guard let file = fopen("/proc/thread-self/comm", "r") else { return "" }
    defer { fclose(file) }
    var name = [CChar](repeating: 0, count: 64)
    guard fgets(&name, Int32(name.count), file) != nil else { return "" }
    return String(decoding: name.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
}

@concurrent private func nameOfThread() async -> String { threadName() }

@Test func tasksRunOnThePoolTheyPrefer() async {
    let pool = WorkerPool(name: "prefer", threads: 2, queueLimit: 0)
    let names = await withTaskExecutorPreference(pool) {
        var names = [await nameOfThread()]
        await Task.yield()
        names.append(await nameOfThread())
        return names
    }
    #expect(names.count == 2 && names.allSatisfy { $0.hasPrefix("prefer-") }, "\(names)")
    pool.stop()
}

@Test func aStoppedPoolStillFinishesTasks() async {
    let pool = WorkerPool(name: "stopped", threads: 1, queueLimit: 0)
    pool.stop()
    let value = await withTaskExecutorPreference(pool) {
        await Task.yield()
        return 7
    }
    #expect(value == 7)
}

@Test func manyTasksShareFewThreads() async {
    let pool = WorkerPool(name: "few", threads: 2, queueLimit: 0)
    let sum = await withTaskGroup(of: Int.self) { group in
        for i in 0..<500 {
            group.addTask(executorPreference: pool) {
                await Task.yield()
                return i
            }
        }
        return await group.reduce(0, +)
    }
    #expect(sum == 499 * 500 / 2)
    pool.stop()
}
