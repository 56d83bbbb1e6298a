// The collection flow as any user of the AWS SDK for JavaScript writes it. Where the server is and who
// calls stand in the environment (AWS_ENDPOINT_URL_REKOGNITION, AWS_SHARED_CREDENTIALS_FILE).
//
//   node flow.mjs PERSON.jpg PERSON-AGAIN.jpg SOMEBODY-ELSE.png

import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { readFile } from "node:fs/promises";
import {
  CompareFacesCommand,
  CreateCollectionCommand,
  DeleteCollectionCommand,
  DeleteFacesCommand,
  DescribeCollectionCommand,
  DetectFacesCommand,
  IndexFacesCommand,
  InvalidImageFormatException,
  InvalidParameterException,
  ListCollectionsCommand,
  ListTagsForResourceCommand,
  RecognizeCelebritiesCommand,
  RekognitionClient,
  ResourceAlreadyExistsException,
  ResourceNotFoundException,
  SearchFacesByImageCommand,
  SearchFacesCommand,
  TagResourceCommand,
  paginateListFaces,
} from "@aws-sdk/client-rekognition";

const [person, again, other] = await Promise.all(process.argv.slice(2, 5).map((path) => readFile(path)));
const client = new RekognitionClient({});
const CollectionId = `js-${randomUUID()}`;

async function index(Bytes, ExternalImageId) {
  const { FaceRecords } = await client.send(
    new IndexFacesCommand({ CollectionId, Image: { Bytes }, ExternalImageId }),
  );
  assert.equal(FaceRecords.length, 1);
  return FaceRecords[0].Face;
}

async function refused(command, kind, message) {
  await assert.rejects(client.send(command), (error) => {
    assert.ok(error instanceof kind, `${error.name}: ${error.message}`);
    assert.equal(error.$metadata.httpStatusCode, 400);
    assert.match(error.$metadata.requestId, /^[0-9a-f-]{36}$/);
    assert.ok((error.message ?? error.Message).startsWith(message), error.message);
    return true;
  });
}

const { FaceDetails } = await client.send(
  new DetectFacesCommand({ Image: { Bytes: person }, Attributes: ["ALL"] }),
);
assert.equal(FaceDetails.length, 1);
assert.equal(FaceDetails[0].Landmarks.length, 30);

const { FaceMatches } = await client.send(
  new CompareFacesCommand({ SourceImage: { Bytes: person }, TargetImage: { Bytes: again } }),
);
assert.ok(FaceMatches[0].Similarity > 95);

const made = await client.send(new CreateCollectionCommand({ CollectionId, Tags: { team: "news" } }));
assert.equal(made.StatusCode, 200);
await refused(new CreateCollectionCommand({ CollectionId }), ResourceAlreadyExistsException, "The collection id: ");
const { CollectionIds } = await client.send(new ListCollectionsCommand({}));
assert.ok(CollectionIds.includes(CollectionId));

const ResourceArn = made.CollectionArn;
await client.send(new TagResourceCommand({ ResourceArn, Tags: { place: "archive" } }));
const { Tags } = await client.send(new ListTagsForResourceCommand({ ResourceArn }));
assert.deepEqual(Tags, { place: "archive", team: "news" });

const first = await index(person, "person");
const second = await index(other, "other");
assert.deepEqual(await index(person, "person"), first);
const described = await client.send(new DescribeCollectionCommand({ CollectionId }));
assert.equal(described.FaceCount, 2);
assert.ok(described.CreationTimestamp instanceof Date);

const listed = [];
for await (const page of paginateListFaces({ client, pageSize: 1 }, { CollectionId })) {
  assert.ok(page.Faces.length <= 1);
  listed.push(...page.Faces);
}
assert.deepEqual(listed, [first, second]);

const found = await client.send(new SearchFacesByImageCommand({ CollectionId, Image: { Bytes: again } }));
assert.deepEqual(found.FaceMatches.map((match) => match.Face), [first]);
assert.ok(!("Countenance" in found), "a client of AWS's model shows a member that is not AWS's");
const alike = await client.send(
  new SearchFacesCommand({ CollectionId, FaceId: first.FaceId, FaceMatchThreshold: 0 }),
);
assert.deepEqual(alike.FaceMatches.map((match) => match.Face), [second]);

const { DeletedFaces } = await client.send(
  new DeleteFacesCommand({ CollectionId, FaceIds: [first.FaceId] }),
);
assert.deepEqual(DeletedFaces, [first.FaceId]);
await refused(
  new SearchFacesCommand({ CollectionId, FaceId: first.FaceId }),
  InvalidParameterException,
  "faceId was not found in the collection.",
);
await refused(
  new DetectFacesCommand({ Image: { Bytes: Buffer.from("not a picture") } }),
  InvalidImageFormatException,
  "Request has invalid image format",
);
await refused(
  new RecognizeCelebritiesCommand({ Image: { Bytes: person } }),
  InvalidParameterException,
  "Request has invalid parameters: RecognizeCelebrities is not offered here yet",
);

const gone = await client.send(new DeleteCollectionCommand({ CollectionId }));
assert.equal(gone.StatusCode, 200);
await refused(
  new DescribeCollectionCommand({ CollectionId }),
  ResourceNotFoundException,
  `Collection:${CollectionId} not found!`,
);
console.log("the flow is whole");
