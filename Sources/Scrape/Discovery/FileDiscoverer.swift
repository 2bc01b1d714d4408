// SPDX-License-Identifier: Apache-2.0
// Targets from files. Source: prometheus/prometheus `discovery/file/file.go`.

import Base
import Synchronization

/// Reads target files when they change. The files that match are looked at once a second (name,
/// size, time of change, inode), which sees renames, mounts and network file systems alike; all are
/// read again every `refresh_interval`.
///
/// A file that cannot be read, or not be understood, keeps the targets it had; one that is gone
/// loses them.
final class FileDiscoverer: RefreshingDiscoverer {
    private struct State {
        var groups: [String: [TargetGroup]] = [:]
        var stamps: [String: FileStamp] = [:]
    }

    static let lookSeconds = 1.0

    private let settings: FileDiscoverySettings
    private let state = Mutex(State())
    var refreshSeconds: Double { settings.refreshSeconds }

    init(_ settings: FileDiscoverySettings) { self.settings = settings }

    /// Sleeps until a file changes or all are to be read again.
    func pause(_ delivery: DiscoveryDelivery) async throws {
        let environment = delivery.environment
        let clock = environment.clock
        let due = clock.monotonicNanos &+ Int64(settings.refreshSeconds * 1e9)
        while true {
            let left = Double(due &- clock.monotonicNanos) / 1e9
            if left <= 0 { return }
            try await clock.sleep(seconds: min(left, Self.lookSeconds))
            let files = settings.files
            let now = try await environment.files.run { fileStamps(files) }
            if now != state.withLock({ $0.stamps }) { return }
        }
    }

    func refresh(_ delivery: DiscoveryDelivery) async throws -> [TargetGroup] {
        let environment = delivery.environment
        let patterns = settings.files
        let stamps = try await environment.files.run { fileStamps(patterns) }
        let before = state.withLock { $0 }
        var groups: [String: [TargetGroup]] = [:]
        for path in stamps.keys.sorted() {
            do {
                groups[path] = try await read(path, environment)
            } catch {
                environment.metrics.add(.fileReadErrors)
                delivery.note("target file \(path) not read: \(error)")
                groups[path] = before.groups[path]
            }
        }
        for (path, stamp) in stamps {
            environment.metrics.set(
                .fileTimes, [NamedText("filename", path)], Double(stamp.changedNanos) / 1e9)
        }
        for path in before.stamps.keys where stamps[path] == nil {
            environment.metrics.remove(.fileTimes, [NamedText("filename", path)])
        }
        let result = groups
        state.withLock { state in
            state.stamps = stamps
            state.groups = result
        }
        return groups.values.flatMap { $0 }
    }

    private func read(
        _ path: String, _ environment: DiscoveryEnvironment
    ) async throws -> [TargetGroup] {
        let jsonOfYAML = environment.jsonOfYAML
        return try await environment.files.run { try targetFile(path, jsonOfYAML) }
    }
}

/// Reads one file. Blocks.
private func targetFile(
    _ path: String, _ jsonOfYAML: ([UInt8]) throws -> [UInt8]
) throws -> [TargetGroup] {
    var bytes = try readSmallFile(path)
    if !path.lowercased().hasSuffix(".json") { bytes = try jsonOfYAML(bytes) }
    return try targetGroups(bytes, source: path, label: NamedText("__meta_filepath", path))
}

extension FileDiscoverySettings {
    /// What is wrong with the files that are there now, each with its path; for a check of a
    /// configuration. Blocks.
    package func faults(jsonOfYAML: ([UInt8]) throws -> [UInt8]) -> [String] {
        var faults: [String] = []
        for path in fileStamps(files).keys.sorted() {
            do { _ = try targetFile(path, jsonOfYAML) } catch { faults.append("\(path): \(error)") }
        }
        return faults
    }
}

/// The files that match the patterns, with what tells that one has changed. Blocks.
private func fileStamps(_ patterns: [String]) -> [String: FileStamp] {
    var result: [String: FileStamp] = [:]
    for pattern in patterns {
        for path in matches(pattern) {
            if let stamp = FileStamp(path: path) { result[path] = stamp }
        }
    }
    return result
}

/// Paths that a pattern stands for. Only its last segment holds stars; one matches any characters
/// but a slash, and no leading dot by itself.
private func matches(_ pattern: String) -> [String] {
    let slash = pattern.lastIndex(of: "/")
    let name = slash.map { pattern[$0...].dropFirst() } ?? pattern[...]
    guard name.contains("*") else { return [pattern] }
    let folder = slash.map { String(pattern[...$0]) } ?? ""
    let names: [String]
    do throws(FileError) {
        names = try LocalFileSystem().list(folder.isEmpty ? "." : folder)
    } catch { return [] }
    let pieces = name.split(separator: "*", omittingEmptySubsequences: false)
    return names.filter { isMatch($0, pieces) }.map { folder + $0 }
}

/// Whether the text is the pieces with anything between them.
func isMatch(_ text: String, _ pieces: [Substring]) -> Bool {
    guard let first = pieces.first, let last = pieces.last, pieces.count > 1 else {
        return pieces.first.map { $0 == text } ?? false
    }
    guard text.hasPrefix(first) else { return false }
    var rest = text.dropFirst(first.count)
    for piece in pieces.dropFirst().dropLast() where !piece.isEmpty {
        guard let found = rest.firstRange(of: piece) else { return false }
        rest = rest[found.upperBound...]
    }
    return rest.hasSuffix(last)
}
