// SPDX-License-Identifier: Apache-2.0
// Metrics that jobs push before they end.

import Base
import Synchronization
import Telemetry
import Wire

/// Keeps what jobs push, as a Pushgateway does, and hands all of it out again and again, as a
/// scrape of one would bring it: a job that ran at night is there for a query at noon.
///
/// Every group is a file of its own, replaced and synced before a push is answered; a restart reads
/// them back. Series that a push or a deletion ends get a stale marker with the next batch that is
/// stored. Calls block on files: make them on ingest's threads.
///
/// Source: prometheus/pushgateway README and `storage/diskmetricstore.go`; the decision to keep
/// state is docs/decisions/0008-pushed-metrics-stay-until-deleted.md.
package final class PushGroups: Sendable {
    /// Why a push was not taken.
    package enum Failure: Error, Sendable, Equatable, CustomStringConvertible {
        /// What was pushed contradicts itself or another group.
        case inconsistent(String)
        /// The bounds of `PushLimits`.
        case full(String)
        /// The file could not be written: nothing has changed.
        case notStored(String)

        package var description: String {
            switch self {
            case .inconsistent(let reason):
                "pushed metrics are invalid or inconsistent with existing metrics: \(reason)"
            case .full(let reason): reason
            case .notStored(let reason): "cannot store data now: \(reason)"
            }
        }
    }

    /// A batch of one tenant, and the markers in it.
    package struct Exposure: Sendable {
        package var tenant: Tenant
        package var batch: MetricBatch
        fileprivate var markers: Set<Labels>
    }

    private struct State: Sendable {
        var groups: [[UInt8]: PushGroup] = [:]
        /// Which group has a series, by tenant.
        var owners: [String: [Labels: [UInt8]]] = [:]
        /// Series that have ended and wait for their marker, by tenant.
        var ended: [String: Set<Labels>] = [:]
        var bytes = 0
        /// Whether the directory is there, its name durable.
        var hasDirectory = false
    }

    private let state = Mutex(State())
    private let files: any FileSystem
    private let directory: String
    private let limits: PushLimits

    /// Reads the groups of a directory, which need not exist.
    ///
    /// - Parameter report: told of files that cannot be read; they stay where they are.
    package init(
        _ directory: String, files: any FileSystem = LocalFileSystem(),
        limits: PushLimits = PushLimits(), report: (String) -> Void = { _ in }
    ) {
        self.directory = directory
        self.files = files
        self.limits = limits
        let names: [String]
        do throws(FileError) { names = try files.list(directory) } catch {
            // Nothing was ever pushed.
            if !error.isMissing { report("pushed metrics cannot be read: \(error)") }
            return
        }
        for name in names where name.hasSuffix(".group") {
            do {
                let bytes = try files.readAll(directory + "/" + name)
                let group = try bytes.withUnsafeBytes { try PushGroup(decoding: $0) }
                state.withLock { Self.insert(group, &$0) }
            } catch {
                report("pushed metrics in \(directory)/\(name) cannot be read: \(error)")
            }
        }
    }

    package var groupCount: Int { state.withLock { $0.groups.count } }
    /// Whether series wait for their marker.
    package var hasEnded: Bool { state.withLock { !$0.ended.values.allSatisfy(\.isEmpty) } }

    // MARK: changes

    /// Takes a push: all families of the group are replaced, or those of the same name only.
    package func push(
        _ pushed: [PushedFamily], grouping: [(name: String, value: String)], tenant: Tenant,
        replacesAll: Bool, millis: Int64
    ) throws(Failure) {
        let outcome = state.withLock { state -> Failure? in
            do throws(Failure) {
                try take(pushed, grouping, tenant, replacesAll, millis, &state)
                return nil
            } catch { return error }
        }
        if let outcome { throw outcome }
    }

    private func take(
        _ pushed: [PushedFamily], _ grouping: [(name: String, value: String)], _ tenant: Tenant,
        _ replacesAll: Bool, _ millis: Int64, _ state: inout State
    ) throws(Failure) {
        let empty = PushGroup(tenant: tenant.name, grouping: grouping)
        let old = state.groups[empty.key]
        var group = old ?? empty
        if replacesAll { group.families = [:] }
        for family in pushed
        where family.name != PushGroup.pushTime && family.name != PushGroup.failureTime {
            group.families[family.name] = family
        }
        group.pushMillis = millis
        guard old != nil || state.groups.count < limits.groups else {
            throw .full("more than \(limits.groups) groups of pushed metrics: delete some")
        }
        guard state.bytes - (old?.byteCount ?? 0) + group.byteCount <= limits.bytes else {
            throw .full("pushed metrics of more than \(limits.bytes) bytes: delete some groups")
        }
        if let reason = conflict(group, pushed, state) {
            // The group remembers that somebody tried.
            var failed = old ?? empty
            failed.failureMillis = millis
            try store(failed, &state)
            Self.insert(failed, &state)
            throw .inconsistent(reason)
        }
        try store(group, &state)
        Self.insert(group, &state)
    }

    /// What of a changed group contradicts other groups of its tenant.
    private func conflict(
        _ group: PushGroup, _ pushed: [PushedFamily], _ state: State
    ) -> String? {
        let key = group.key
        let owners = state.owners[group.tenant] ?? [:]
        for family in pushed {
            for ref in family.batch.series {
                let labels = family.batch.arena.labels(ref)
                if let owner = owners[labels], owner != key {
                    return "metric \(labels) was collected before with the same name and label "
                        + "values"
                }
            }
        }
        let types = Dictionary(pushed.map { ($0.name, $0.type) }) { first, _ in first }
        for (otherKey, other) in state.groups where otherKey != key && other.tenant == group.tenant
        {
            for (name, type) in types {
                if let known = other.families[name]?.type, known != type {
                    return "metric family \(name) has type \(type.text) but was pushed as "
                        + "\(known.text) before"
                }
            }
        }
        return nil
    }

    /// Deletes a group; one that is not there is deleted already.
    package func delete(
        grouping: [(name: String, value: String)], tenant: Tenant
    ) throws(Failure) {
        let group = PushGroup(tenant: tenant.name, grouping: grouping)
        let outcome = state.withLock { state -> Failure? in
            guard let old = state.groups[group.key] else { return nil }
            do throws(FileError) {
                try files.remove(directory + "/" + group.fileName)
                try files.syncDirectory(directory)
            } catch { return .notStored("\(error)") }
            Self.remove(old, &state)
            return nil
        }
        if let outcome { throw outcome }
    }

    private func store(_ group: PushGroup, _ state: inout State) throws(Failure) {
        do throws(FileError) {
            if !state.hasDirectory {
                try files.makeDirectory(directory)
                let slash = directory.lastIndex(of: "/")
                let parent = slash.map { $0 == directory.startIndex ? "/" : directory[..<$0] }
                try files.syncDirectory(parent.map(String.init) ?? ".")
                state.hasDirectory = true
            }
            try files.replace(
                directory + "/" + group.fileName, in: directory, with: group.encoded())
        } catch { throw .notStored("\(error)") }
    }

    private static func insert(_ group: PushGroup, _ state: inout State) {
        let key = group.key
        if let old = state.groups[key] { remove(old, &state) }
        let series = group.series
        for labels in series { state.owners[group.tenant, default: [:]][labels] = key }
        state.ended[group.tenant]?.subtract(series)
        state.groups[key] = group
        state.bytes += group.byteCount
    }

    private static func remove(_ group: PushGroup, _ state: inout State) {
        let series = group.series
        for labels in series { state.owners[group.tenant]?[labels] = nil }
        state.ended[group.tenant, default: []].formUnion(series)
        state.groups[group.key] = nil
        state.bytes -= group.byteCount
    }

    // MARK: exposure

    /// Everything pushed, at one time; one batch per tenant that has anything.
    package func expose(millis: Int64) -> [Exposure] {
        state.withLock { state in
            let tenants = Set(state.groups.values.map(\.tenant)).union(state.ended.keys)
            return tenants.compactMap { tenant in
                Self.exposure(
                    of: state.groups.values.filter { $0.tenant == tenant }, tenant, millis, state)
            }
        }
    }

    /// One group, at one time, with the markers of all series of the tenant that ended. Nil when
    /// there is neither.
    package func expose(
        grouping: [(name: String, value: String)], tenant: Tenant, millis: Int64
    ) -> Exposure? {
        let key = PushGroup(tenant: tenant.name, grouping: grouping).key
        return state.withLock { state in
            Self.exposure(
                of: state.groups[key].map { [$0] } ?? [], tenant.name, millis, state)
        }
    }

    private static func exposure(
        of groups: [PushGroup], _ tenant: String, _ millis: Int64, _ state: State
    ) -> Exposure? {
        var batch = MetricBatch()
        for group in groups { group.add(to: &batch, millis: millis) }
        let ended = state.ended[tenant] ?? []
        for labels in ended {
            batch.addSample(
                series: batch.addSeries(labels), millis: millis, value: StaleMarker.value)
        }
        if batch.isEmpty { return nil }
        return Exposure(tenant: Tenant(tenant), batch: batch, markers: ended)
    }

    /// Tells that a batch is stored, its markers with it.
    package func stored(_ exposure: Exposure) {
        if exposure.markers.isEmpty { return }
        state.withLock {
            $0.ended[exposure.tenant.name]?.subtract(exposure.markers)
        }
    }
}

/// Bounds of what jobs may leave behind.
package struct PushLimits: Sendable {
    package var groups = 10_000
    package var bytes = 128 << 20
    package init() {}
}
