// SPDX-License-Identifier: Apache-2.0
// Postings against sets.

import Base
import Storage
import Testing

private func randomPostings(_ random: inout SplitMix64, limit: Int) -> Postings {
    let density = [1, 3, 30, 300, 999][Int(random.next() % 5)]
    return Postings(
        ascending: (0..<UInt32(limit)).filter { _ in Int(random.next() % 1000) < density })
}

@Test func postingsAlgebraIsThatOfSets() {
    var random = SplitMix64(seed: 1)
    var faults: [String] = []
    for round in 0..<200 {
        let limit = 1 + Int(random.next() % 3000)
        let a = randomPostings(&random, limit: limit)
        let b = randomPostings(&random, limit: limit)
        let c = randomPostings(&random, limit: limit)
        let (x, y, z) = (Set(a.ids), Set(b.ids), Set(c.ids))
        if a.intersection(b).ids != x.intersection(y).sorted() { faults.append("\(round): and") }
        if a.subtracting(b).ids != x.subtracting(y).sorted() { faults.append("\(round): minus") }
        if Postings.union([a, b, c], limit: limit).ids != x.union(y).union(z).sorted() {
            faults.append("\(round): or")
        }
    }
    #expect(faults.isEmpty, "\(faults)")
    #expect(Postings.union([], limit: 10).isEmpty)
    #expect(Postings(all: 3).ids == [0, 1, 2])
}

@Test func postingsComeBackAsTheyWere() throws {
    var random = SplitMix64(seed: 2)
    for _ in 0..<200 {
        let limit = 1 + Int(random.next() % 3000)
        let postings = randomPostings(&random, limit: limit)
        var writer = ByteWriter()
        postings.encode(into: &writer)
        let copy = try writer.bytes.withUnsafeBytes {
            var reader = ByteReader($0)
            let copy = try Postings(decoding: &reader, limit: limit)
            #expect(reader.isAtEnd)
            return copy
        }
        #expect(copy == postings)
    }
    var dense = ByteWriter()
    Postings(all: 80_000).encode(into: &dense)
    #expect(dense.count < 10_100)
}

@Test func damagedPostingsStayBelowTheLimit() {
    var random = SplitMix64(seed: 3)
    for _ in 0..<2000 {
        let limit = 1 + Int(random.next() % 500)
        var writer = ByteWriter()
        randomPostings(&random, limit: limit).encode(into: &writer)
        var bytes = writer.bytes
        bytes[Int(random.next() % UInt64(bytes.count))] = UInt8(truncatingIfNeeded: random.next())
        bytes.withUnsafeBytes { raw in
            var reader = ByteReader(raw)
            do throws(MalformedBytes) {
                let postings = try Postings(decoding: &reader, limit: limit)
                #expect(zip(postings.ids, postings.ids.dropFirst()).allSatisfy { $0 < $1 })
                #expect(postings.ids.allSatisfy { Int($0) < limit })
            } catch {
                #expect(error.offset <= bytes.count)
            }
        }
    }
}
