// SPDX-License-Identifier: Apache-2.0
// Bounds of the trace store, and what happens at each.

/// Sizes that bound the store. None of them loses data: at a limit something is split, left out of
/// an index or read the slow way.
enum Limits {
    /// Shards of a head. Power of two. More shards mean less waiting and more small arrays.
    static let shardCount = 8
    /// Rows of a head segment; readers share closed segments and copy the open one at most once.
    static let segmentRows = 4096
    /// Arena bytes at which a head segment closes early.
    static let segmentArenaBytes = 2 << 20
    /// Arena bytes at which a block closes early.
    static let blockArenaBytes = 4 << 20
    /// Distinct strings that a column keeps as a dictionary; beyond, values are stored plain.
    static let dictionaryValues = 256
    /// Whole numbers that are too many for the catalogue get a filter when on average so many lie
    /// between two of them.
    static let filteredNumberSpacing: UInt64 = 4
    /// A column's distinct strings that the directory lists for skipping, and their bytes.
    static let directoryValues = 16
    static let directoryValueBytes = 128
    /// Names, resources or scopes that the directory lists per block; beyond, none are excluded.
    static let directoryNames = 64
    static let directorySources = 512
    /// Distinct values per attribute key in the catalogue, and the longest value listed.
    static let catalogueValues = 256
    static let catalogueValueBytes = 256
    /// Attribute keys in the catalogue and the directory of one part.
    static let catalogueKeys = 16_384
    /// Trace ids in a frame of ids, traces in a page of their order or of their blocks. Powers of two.
    static let idFrameTraces = 4096
    static let indexPageTraces = 512
    /// Rows that parents are named relative to. Power of two.
    static let parentPageRows = 2048
    /// Rows of the largest merged part: while it is made, some 170 bytes per row are in memory.
    static let mergedRows = 1_500_000
    /// Bytes of all resources and scopes of one part; beyond, a merge is refused.
    static let sourceBytes = 256 << 20
    /// Bytes of frames after which a new section begins, so that none nears the format's limit.
    static let sectionBytes = 256 << 20
}
