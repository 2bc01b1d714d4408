// SPDX-License-Identifier: Apache-2.0
// Refusing series that are new and too many.

import Base
import Synchronization
import Telemetry

/// Remembers the series of tenants that have limits, and decides about new ones.
///
/// A series is known while it has a sample in this or the last clock hour, told by the 64-bit hash
/// of its labels: two series with one hash make the second one known. The memory is filled from the
/// store when a tenant is first asked about, so that a restart makes nothing new. Costs 20 to 40
/// bytes a series, one look-up per series of a batch, and nothing for tenants without limits.
package final class SeriesLimiter: Sendable {
    private struct State: Sendable {
        var table = TenantLimitTable()
        var tenants: [String: KnownSeries] = [:]
        var refused: [RefusedKey: Refused] = [:]
    }

    private struct RefusedKey: Hashable, Sendable {
        var tenant: String
        var reason: LimitReason
    }

    /// What was left out for one reason.
    package struct Refused: Sendable, Equatable {
        package var series = 0
        package var samples = 0
    }

    /// The series that a tenant has had lately, by the hash of their labels; nil when the store
    /// cannot tell now.
    package typealias Seed = @Sendable (Tenant) -> [UInt64]?

    private let state = Mutex(State())
    private let seed: Seed
    /// Tenants whose refusals are told apart; more share one name.
    private static let namedTenants = 1000
    package static let otherTenants = "(other)"

    package init(seed: @escaping Seed) { self.seed = seed }

    /// Puts limits into force. What is known stays known.
    package func set(_ table: TenantLimitTable) {
        state.withLock { state in
            state.table = table
            // Without a limit nobody keeps the memory up to date.
            state.tenants = state.tenants.filter { table[Tenant($0.key)].limitsSeries }
        }
    }

    package func limits(of tenant: Tenant) -> TenantLimits { state.withLock { $0.table[tenant] } }

    /// Series left out of a batch.
    package struct Verdict: Sendable {
        /// By index of the batch's series; empty when none is refused.
        var reasons: [UInt32: LimitReason] = [:]
        var limits = TenantLimits()
    }

    /// Decides about the series of a batch, and remembers those that are taken.
    func check(_ batch: MetricBatch, _ tenant: Tenant, nowSeconds: Int64) -> Verdict {
        let limits = limits(of: tenant)
        var verdict = Verdict(limits: limits)
        guard limits.limitsSeries else { return verdict }
        guard prepare(tenant) else { return verdict }
        state.withLock { state in
            guard state.tenants[tenant.name] != nil else { return }
            batch.arena.withUnsafeBytes { arena in
                for (index, series) in batch.series.enumerated() {
                    let reason = state.tenants[tenant.name]?.admit(
                        series.hash, UnsafeRawBufferPointer(rebasing: arena[series.slice.range]),
                        limits, nowSeconds)
                    if let reason { verdict.reasons[UInt32(index)] = reason }
                }
            }
        }
        return verdict
    }

    /// Whether the tenant's series are known by now.
    private func prepare(_ tenant: Tenant) -> Bool {
        if state.withLock({ $0.tenants[tenant.name] != nil }) { return true }
        // Two threads may read the same; what they find is put together.
        guard let found = seed(tenant) else { return false }
        state.withLock { state in
            state.tenants[tenant.name, default: KnownSeries()].seed(found)
        }
        return true
    }

    /// Counts what was left out.
    func count(_ tenant: Tenant, _ reason: LimitReason, series: Int, samples: Int) {
        state.withLock { state in
            var key = RefusedKey(tenant: tenant.name, reason: reason)
            let bound = Self.namedTenants * LimitReason.allCases.count
            if state.refused[key] == nil, state.refused.count >= bound {
                key.tenant = Self.otherTenants
            }
            state.refused[key, default: Refused()].series += series
            state.refused[key, default: Refused()].samples += samples
        }
    }

    /// What was left out so far.
    package var refused: [(tenant: String, reason: LimitReason, refused: Refused)] {
        state.withLock { $0.refused }.map { ($0.key.tenant, $0.key.reason, $0.value) }
            .sorted { ($0.tenant, $0.reason.rawValue) < ($1.tenant, $1.reason.rawValue) }
    }

    /// Active series of each tenant that has limits and has been heard of.
    package var activeSeries: [(tenant: String, count: Int)] {
        state.withLock { $0.tenants.map { ($0.key, $0.value.count) } }
            .sorted { $0.tenant < $1.tenant }
    }
}

/// The series of one tenant.
struct KnownSeries: Sendable {
    private var current: Set<UInt64> = []
    /// Of the last hour and not of this one.
    private var previous: Set<UInt64> = []
    private var hour: Int64 = .min
    /// New series of each of the last sixty minutes, by minute modulo 60.
    private var minutes = [Int](repeating: 0, count: 60)
    private var minute: Int64 = .min

    var count: Int { current.count + previous.count }

    mutating func seed(_ hashes: [UInt64]) {
        for hash in hashes where !current.contains(hash) { previous.insert(hash) }
    }

    /// Nil = taken.
    mutating func admit(
        _ hash: UInt64, _ labels: UnsafeRawBufferPointer, _ limits: TenantLimits,
        _ nowSeconds: Int64
    ) -> LimitReason? {
        advance(nowSeconds)
        if current.contains(hash) { return nil }
        if previous.remove(hash) != nil {
            current.insert(hash)
            return nil
        }
        if let reason = KnownSeries.flaw(labels, limits) { return reason }
        if limits.maxSeries > 0, count >= limits.maxSeries { return .maxSeries }
        if limits.maxNewSeriesPerHour > 0,
            minutes.reduce(0, +) >= limits.maxNewSeriesPerHour
        {
            return .maxNewSeriesPerHour
        }
        current.insert(hash)
        minutes[Int(minute % 60)] += 1
        return nil
    }

    private mutating func advance(_ nowSeconds: Int64) {
        let now = max(0, nowSeconds) / 60
        if minute == .min { (minute, hour) = (now, now / 60) }
        // A clock that was put back stands here until it has caught up.
        guard now > minute else { return }
        if now - minute >= 60 {
            minutes = [Int](repeating: 0, count: 60)
        } else {
            for passed in (minute + 1)...now { minutes[Int(passed % 60)] = 0 }
        }
        minute = now
        let newHour = now / 60
        if newHour > hour {
            previous = newHour == hour + 1 ? current : []
            current = []
            hour = newHour
        }
    }

    private static func flaw(
        _ labels: UnsafeRawBufferPointer, _ limits: TenantLimits
    ) -> LimitReason? {
        guard
            limits.maxLabelNames > 0 || limits.maxLabelNameBytes > 0
                || limits.maxLabelValueBytes > 0
        else { return nil }
        var count = 0
        var flaw: LimitReason?
        forEachLabel(in: labels) { name, value in
            count += 1
            if limits.maxLabelNameBytes > 0, name.count > limits.maxLabelNameBytes {
                flaw = flaw ?? .maxLabelNameBytes
            }
            if limits.maxLabelValueBytes > 0, value.count > limits.maxLabelValueBytes {
                flaw = flaw ?? .maxLabelValueBytes
            }
        }
        if limits.maxLabelNames > 0, count > limits.maxLabelNames { return .maxLabelNames }
        return flaw
    }
}
