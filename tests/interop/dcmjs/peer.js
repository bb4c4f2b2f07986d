// dcmjs-dimse as a requestor, or as a destination of C-MOVE: node peer.js COMMAND PORT [ARGUMENT...]
// Each response and each stored file is a line of JSON on stdout.
'use strict';
const path = require('path');
const { Client, Server, Scp, constants, requests, responses } = require('dcmjs-dimse');
const { PresentationContextResult, Status } = constants;

const [command, port, ...rest] = process.argv.slice(2);
const say = (what) => process.stdout.write(JSON.stringify(what) + '\n');

function keep(request, folder) {
  const dataset = request.getDataset();
  const uid = request.getAffectedSopInstanceUid();
  dataset.toFile(path.join(folder, uid + '.dcm'));
  say({ stored: uid, originator: request.getCommandDataset().getElement('MoveOriginatorApplicationEntityTitle') });
  const response = responses.CStoreResponse.fromRequest(request);
  response.setStatus(Status.Success);
  return response;
}

class Destination extends Scp {
  associationRequested(association) {
    for (const { id } of association.getPresentationContexts()) {
      const context = association.getPresentationContext(id);
      context.setResult(PresentationContextResult.Accept, context.getTransferSyntaxUids()[0]);
    }
    this.sendAssociationAccept();
  }

  cStoreRequest(request, callback) {
    callback(keep(request, rest[0]));
  }

  associationReleaseRequested() {
    this.sendAssociationReleaseResponse();
  }
}

const made = {
  echo: () => [new requests.CEchoRequest()],
  store: (...files) => files.map((file) => new requests.CStoreRequest(file)),
  find: (name) => [requests.CFindRequest.createStudyFindRequest({ PatientName: name, StudyInstanceUID: '' })],
  get: (study) => [requests.CGetRequest.createStudyGetRequest(study)],
  move: (study, destination) => [requests.CMoveRequest.createStudyMoveRequest(destination, study)],
};

if (command === 'destination') {
  const server = new Server(Destination);
  server.listen(Number(port));
  process.stdin.on('end', () => process.exit(0)).resume();
} else {
  const client = new Client();
  for (const request of made[command](...rest)) {
    request.on('response', (response) => say({
      status: response.getStatus(),
      dataset: response.hasDataset() ? response.getDataset().getElements() : null,
      completed: response.getCompleted ? response.getCompleted() : null,
      failed: response.getFailures ? response.getFailures() : null,
    }));
    client.addRequest(request);
  }
  client.on('cStoreRequest', (request, callback) => callback(keep(request, rest[1])));
  client.on('networkError', (error) => {
    console.error(error);
    process.exit(1);
  });
  client.send('127.0.0.1', Number(port), 'DCMJS', 'ANY-SCP');
}
