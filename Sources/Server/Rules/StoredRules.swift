// SPDX-License-Identifier: Apache-2.0
// Rule groups that came over the API.

import Base
import Rules
import Synchronization
import Telemetry

/// A rule group as it was posted.
struct StoredGroup: Sendable, Equatable {
    var tenant: String
    var namespace: String
    var name: String
    /// The group in YAML, as posted.
    var text: String
}

/// The rule groups of Loki's ruler API, durable: the file `posted-rules` of the data directory,
/// replaced as a whole with every change.
///
///     magic "TERNRULE" (8) | version u16 = 1 | zero u16 | u32 crc32c(body) | body
///     body: varint count, per group:
///       4 × (varint n, text): tenant, namespace, name, YAML
final class StoredRules: Sendable {
    static let name = "posted-rules"
    static let file = ChecksummedFile("TERNRULE", version: 1, "a list of rule groups")
    /// Most groups of all tenants, and bytes of one.
    static let maxGroups = 4096
    static let maxGroupBytes = 1 << 20
    /// Most bytes of the file.
    static let maxBytes = 64 << 20

    private struct State: Sendable {
        var groups: [StoredGroup] = []
        /// What keeps the file from being read; it is not overwritten then.
        var fault: String?
    }
    private let state = Mutex(State())
    private let directory: String
    private let files: any FileSystem

    init(_ directory: String, files: any FileSystem = LocalFileSystem()) {
        self.directory = directory
        self.files = files
        var state = State()
        do {
            state.groups = try Self.read(directory, files)
        } catch { state.fault = "\(error)" }
        self.state.withLock { $0 = state }
    }

    /// Why nothing can be stored; nil when it can.
    var fault: String? { state.withLock { $0.fault } }

    /// By tenant, namespace and name.
    var groups: [StoredGroup] { state.withLock { $0.groups } }

    /// Adds a group, or replaces the one of its name.
    func put(_ group: StoredGroup) throws {
        try change { groups in
            groups.removeAll {
                $0.tenant == group.tenant && $0.namespace == group.namespace
                    && $0.name == group.name
            }
            guard groups.count < Self.maxGroups else {
                throw APIError(
                    .badData, "there are \(groups.count) rule groups, the most there may be")
            }
            groups.append(group)
            groups.sort {
                ($0.tenant, $0.namespace, $0.name) < ($1.tenant, $1.namespace, $1.name)
            }
        }
    }

    /// - Parameter name: nil = all groups of the namespace.
    /// - Returns: whether there was any.
    func remove(tenant: Tenant, namespace: String, name: String?) throws -> Bool {
        var found = false
        try change { groups in
            let count = groups.count
            groups.removeAll {
                $0.tenant == tenant.name && $0.namespace == namespace
                    && (name == nil || $0.name == name)
            }
            found = groups.count < count
        }
        return found
    }

    private func change(_ body: (inout [StoredGroup]) throws -> Void) throws {
        try state.withLock { state in
            if let fault = state.fault {
                throw APIError(
                    .internal, "posted rules cannot be read, so none are stored: \(fault)")
            }
            var changed = state.groups
            try body(&changed)
            guard changed != state.groups else { return }
            let bytes = Self.encoded(changed)
            guard bytes.count <= Self.maxBytes else {
                throw APIError(.badData, "all posted rules have at most \(Self.maxBytes) bytes")
            }
            do throws(FileError) {
                try files.replace(directory + "/" + Self.name, in: directory, with: bytes)
            } catch {
                throw APIError(
                    .unavailable, "cannot store data now: \(error)", retryAfterSeconds: 5)
            }
            state.groups = changed
        }
    }

    // MARK: - The file

    static func encoded(_ groups: [StoredGroup]) -> [UInt8] {
        var body = ByteWriter()
        body.varint(groups.count)
        for group in groups {
            for text in [group.tenant, group.namespace, group.name, group.text] {
                body.lengthPrefixed(text)
            }
        }
        return file.framed(body.bytes)
    }

    static func decoded(
        _ bytes: UnsafeRawBufferPointer
    ) throws(MalformedBytes) -> [StoredGroup] {
        var reader = try file.body(of: bytes)
        var groups: [StoredGroup] = []
        for _ in 0..<(try reader.length(limit: maxGroups, "number of groups")) {
            var texts: [String] = []
            for _ in 0..<4 {
                texts.append(String(decoding: try reader.lengthPrefixed(), as: UTF8.self))
            }
            groups.append(
                StoredGroup(tenant: texts[0], namespace: texts[1], name: texts[2], text: texts[3]))
        }
        guard reader.isAtEnd else { throw reader.malformed("the end") }
        return groups
    }

    private static func read(
        _ directory: String, _ files: any FileSystem
    ) throws -> [StoredGroup] {
        let path = directory + "/" + name
        guard let count = try files.size(path) else { return [] }
        guard count <= maxBytes else {
            throw MalformedBytes(offset: 0, expected: "at most \(maxBytes) bytes")
        }
        let bytes = try files.readAll(path)
        return try bytes.withUnsafeBytes { try decoded($0) }
    }
}
