// SPDX-License-Identifier: Apache-2.0
// Front door of Storage.

/// What all stores share; it knows bytes, tenants, signals and days, and no label.
///
/// - `Kernel` is a data directory in use: `open`, `commit` / `applied`, `sealNow`, `compactNow`,
///   `enforceRetention`, `start`, `stop`, `status`.
/// - `SignalStore` is what a store must do for it.
/// - `WriteAheadLog`: durable before the answer; group commit, generations, recovery.
/// - `Parts`: the immutable files that heads are sealed into.
/// - `Manifest`: which parts exist, and the two seams that scale-out replaces: `BlobStore` for
///   immutable bytes, `MetaStore` for the set of parts.
/// - `Compaction`, `Retention`: pure planners, and the kernel's part in carrying plans out.
/// - `StorageCheck`: every byte of a data directory verified offline.
///
/// Files, time and chance come through the protocols of `Base`, so that the simulation in the tests
/// can cut the power at every operation.
package enum Storage {}
