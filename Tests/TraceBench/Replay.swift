// SPDX-License-Identifier: Apache-2.0
// What replaying a log of spans costs.

import Base
import Correlation
import FoundationEssentials
import Storage
import TraceStore

/// Opens a directory whose log is not in parts, several times, and prints the least processor time:
/// what `ReplayCost` of the kernel stands for.
struct ReplayBench {
    let configuration: KernelConfiguration
    let spans: Int
    /// As stored.
    let logBytes: Int

    func run() async throws {
        var least = Double.infinity
        var headBytes = 0
        for _ in 0..<3 {
            let traces = TraceStore()
            let begin = cpuSeconds(), before = residentBytes()
            let kernel = try Kernel.open(configuration, stores: [traces, Correlation()])
            least = min(least, cpuSeconds() - begin)
            headBytes = traces.headBytes
            print("memory after a replay: \((residentBytes() - before) >> 20) MiB more")
            await kernel.stop(flush: false)
        }
        let perByte = (least * 1e9 / Double(logBytes) * 10).rounded() / 10
        print(
            "replay of \(spans) spans in \(logBytes >> 20) MiB of log: \(least) CPU s,",
            "\(perByte) ns per stored byte, heads \(headBytes >> 20) MiB")
    }
}

/// Prints what the directories of a data directory's parts take in memory once they are open.
func showOpenParts(_ configuration: KernelConfiguration, spans: Int) async throws {
    var storeConfiguration = TraceStoreConfiguration()
    storeConfiguration.directoryCacheBytes = .max
    let traces = TraceStore(storeConfiguration)
    let begin = cpuSeconds()
    let kernel = try Kernel.open(configuration, stores: [traces, Correlation()])
    let opening = cpuSeconds() - begin
    print(
        "directories: \(traces.directoryBytes >> 10) KiB,",
        "\(traces.directoryBytes * 2048 / max(1, spans)) bytes per 2,048 spans;",
        "opening all parts: \(Int(opening * 1e6)) us of CPU")
    await kernel.stop(flush: false)
}

/// Memory of the process that is not of files, once what is free was given back.
func residentBytes() -> Int {
    Allocator.releaseFreePages()
    guard let data = FileManager.default.contents(atPath: "/proc/self/status") else { return 0 }
    for line in String(decoding: data, as: UTF8.self).split(separator: "\n")
    where line.hasPrefix("RssAnon:") {
        let fields = line.split { " \t".contains($0) }
        return (fields.dropFirst().first.flatMap { Int($0) } ?? 0) << 10
    }
    return 0
}
