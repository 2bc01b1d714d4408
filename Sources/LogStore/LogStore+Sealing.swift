// SPDX-License-Identifier: Apache-2.0
// Heads into parts.

import Base
import Storage
import Telemetry

extension LogStore {
    package func seal(generation: UInt64) throws -> [PartDraft] {
        var drafts: [PartDraft] = []
        for head in tenantHeads(generation) {
            var builder = ReadPlan.Builder()
            builder.add(head.views([], .all), range: .all)
            let plan = builder.plan()
            var sink = PartSink(
                plan.streams, configuration, level: configuration.sealLevel,
                retentionClasses(of: head.tenant))
            var merge = RowMerge(
                plan, range: .all, filter: .none, cache: nil, isDescending: false, ReadContext(),
                damaged: .fail)
            for pieces in plan.byStream {
                _ = try merge.run(pieces, into: &sink, checkpoint: {})
            }
            drafts += sink.finish(tenant: head.tenant.name)
        }
        return drafts
    }

    package func verify(_ part: PartHandle) -> [PartCorruption] {
        var faults = part.reader.verify()
        let opened: LogPart
        do throws(PartCorruption) {
            opened = try LogPart(part, configuration.deletionLanguage)
        } catch {
            return faults.contains(error) ? faults : faults + [error]
        }
        if !opened.index.postingsAgree,
            let section = part.reader.section(
                LogFormat.Section.postings)
        {
            faults.append(
                PartCorruption(
                    name: part.reader.name, offset: section.offset,
                    problem: "postings are not those of the streams"))
        }
        let cache = FrameCache(limitBytes: 16 << 20)
        do {
            try opened.checkSearchIndex(cache)
        } catch let error as PartCorruption {
            if !faults.contains(error) { faults.append(error) }
        } catch {
            faults.append(
                PartCorruption(name: part.reader.name, offset: 0, problem: "\(error)"))
        }
        for number in opened.blocks.indices {
            do {
                _ = try DecodedRows.decode(
                    number, of: opened, range: .all, filter: .none, cache: cache, ReadContext())
                try opened.checkRanges(ofBlock: number, cache)
            } catch let error as PartCorruption {
                if !faults.contains(error) { faults.append(error) }
            } catch {
                faults.append(
                    PartCorruption(name: part.reader.name, offset: 0, problem: "\(error)"))
            }
        }
        return faults
    }
}
