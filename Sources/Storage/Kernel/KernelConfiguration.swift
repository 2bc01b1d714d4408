// SPDX-License-Identifier: Apache-2.0
// What an operator can decide about storage.

/// Settings of one data directory.
package struct KernelConfiguration: Sendable, Equatable {
    /// The data directory.
    package var path: String
    /// Size at which a new log segment is begun, in bytes.
    package var segmentBytes = 64 << 20
    /// Memory in heads at which they are sealed into parts, in bytes.
    package var sealBytes = 256 << 20
    /// Age of the oldest commit in a head at which it is sealed.
    package var sealAgeSeconds = 300.0
    /// Estimated time that replaying the log that is not in parts takes one core, at which heads are
    /// sealed: bounds the restart after a kill, whatever the load. See
    /// docs/formats/write-ahead-log.md, "Replay".
    package var sealReplaySeconds = 1.0
    /// Bytes of log not in parts at which heads are sealed.
    package var sealLogBytes = 128 << 20
    /// Memory in heads above which commits are refused, in bytes; nil = four times `sealBytes`.
    /// Reached only while sealing fails or lags.
    package var headLimitBytes: Int?
    /// Data older than this, by its own time, is dropped. 0 or less = never.
    package var retentionSeconds: Double
    /// Other retentions, by retention class. What is in here is nobody else's to number.
    package var retentionSecondsByClass: [UInt8: Double] = [:]
    /// Retentions whose classes the kernel numbers; it tells the stores which (`RetentionClasses`).
    package var retentionRules: [RetentionRule] = []
    /// What becomes of days as they get older; where several apply, the longest buckets count.
    package var downsampling: [DownsamplingRule] = []
    /// Parts are dropped, oldest day first, while they take more than this many bytes.
    package var retentionBytes: Int?
    /// Pages of mapped files that may stay resident, in bytes; nil = as the system likes. They can
    /// be taken back at any time, but a process is judged by what it shows.
    package var residentPartBytes: Int?
    /// Commits are refused while the disk has less space than this left, in bytes.
    package var minFreeBytes = 64 << 20
    /// Merges that run at the same time.
    package var compactionParallelism = 1
    /// Largest part that merging makes, in bytes.
    package var maxPartBytes = 512 << 20
    /// How log records are stored.
    package var logCoding = LogCoding.snappy
    /// Size at which the manifest is begun afresh with a checkpoint, in bytes.
    package var manifestBytes = ManifestFormat.rewriteAboveCount
    /// Between two looks at whether to seal, in seconds.
    package var tickSeconds = 0.5
    /// Between two looks for parts to merge or to drop, in seconds.
    package var compactionIntervalSeconds = 15.0

    package init(path: String, retentionSeconds: Double = 15 * 86_400) {
        self.path = path
        self.retentionSeconds = retentionSeconds
    }

    var headLimit: Int {
        headLimitBytes ?? (sealBytes > Int.max / 4 ? Int.max : sealBytes * 4)
    }
}
