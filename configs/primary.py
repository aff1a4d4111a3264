"""The paper's primary model (Sect. 4.2 and Table 6): FCN, then ConvLSTM-FCN with gamma = 0.05.

  python -m tfds_300vw --config=primary --manual_dir=300vw --data_dir=data
  python run.py --config=configs/primary.py --workdir=runs/primary --config.data.data_dir=data

Expected on 300VW-Mask (test, mIoU in %): 54.50 for the FCN, more for the ConvLSTM-FCN; the paper's
text gives 63.76 for the primary and the zoomed-in models together.
"""

from typing import Any

from ml_collections import ConfigDict


def get_config() -> ConfigDict:
  """Every option there is, once."""
  config = ConfigDict()
  # 'train', 'train_finder', 'train_all', 'evaluate', 'evaluate_finder', 'extract',
  # 'extract_many', 'export', 'benchmark', 'app' or 'demo'.
  config.job = 'train'
  config.seed = 0
  config.stages = ('fcn', 'convlstm')  # In this order; ('fcn',) stops after the first.

  # Without the stage 'fcn': the workdir of the run that trained it, or a folder of weights.
  config.trained_fcn = ''
  config.log_every = 50  # Steps from one loss in the summary to the next.

  config.data = data()
  config.model = model()

  config.fcn = stage(
    epochs=80,
    batch_size=16,  # Frames, over all devices.
    loss='cross_entropy',
    margin=0.0,
    groups=(('.*', 'rest'),),
    gamma=1.0,
    batch_statistics=True,
  )
  config.convlstm = stage(
    epochs=60,
    batch_size=2,  # Clips of `data.clip_length` frames, over all devices.
    loss='seg_loss_linear',  # Eq. 9.
    margin=0.0,  # g of Eqs. 8 and 9.
    groups=((r'head/(convlstm|memory\d?)/.*', 'new'), ('.*', 'rest')),
    gamma=0.05,
    batch_statistics=False,
  )

  config.finder = finder()  # For the job 'train_finder'.
  config.finder_evaluation = finder_evaluation()  # For the job 'evaluate_finder'.

  config.checkpoint = ''  # For the job 'evaluate': a stage's folder in a workdir, or instead:
  # For 'evaluate', 'extract', 'extract_many' and 'export': a folder of weights, or of 'train_all';
  # the latter three take those that ship with fmx for ''.
  config.weights = ''
  config.evaluation = evaluation()

  config.video = ''  # For the job 'extract': a file, or a folder of frames.
  config.contact_sheet = False  # Whether 'extract' draws one.
  config.plot = False  # Whether 'extract' draws the measurements over time.
  config.extraction = extraction()
  # For the job 'extract_many': a folder, a glob or a text file of paths, or of addresses.
  config.videos = ''
  config.cluster = ''  # Address of a Ray cluster, or 'auto' on one of its machines; '': this one.
  config.many = many()
  config.app = app()  # For the job 'app'; the networks are those of 'extract'.

  config.format = 'onnx'  # For the job 'export': 'onnx' or 'stablehlo'.

  config.benchmark = benchmark()
  config.demo = demo()  # Drawn faces, for the job 'demo' alone.
  return config


def data() -> ConfigDict:
  """What is trained and evaluated on."""
  config = ConfigDict()
  # TFDS name/config, built by python -m tfds_300vw; names joined by '+' train on several.
  config.dataset = 'the300vw_mask/primary'
  config.data_dir = '~/tensorflow_datasets'
  config.image_size = 320  # Pixels; a multiple of the stride of the trunk's last stage.
  config.clip_length = 5  # T: frames that the ConvLSTM sees together.
  config.workers = 2  # Processes that decode images; 0 decodes in the training process.
  config.augmentation = augmentation()  # Of datasets of crops.
  # Share of the frames of training clips that are spoiled, as those of evaluation.spoiled.
  config.spoiled_frames = 0.0
  config.view = view()  # Of datasets of whole frames, out of which it cuts windows.
  config.spoiling = spoiling()  # Likewise.
  return config


def model() -> ConfigDict:
  """The network."""
  config = ConfigDict()
  config.trunk = 'resnet50'  # Make of the trunk: 'resnet50' or 'vgg16'.
  # Channels of the 3x3 convolutions of ResNet's stage 2, and half of VGG's; 64 is that of both.
  config.width = 64
  # ResNet's bottlenecks, (3, 4, 6, 3), or VGG's convolutions, (2, 3, 3, 3), in stages 2 to 5, or
  # without the last number in 2 to 4.
  config.blocks = (3, 4, 6, 3)
  config.stem = 64  # Channels of stage 1; 64 is ResNet-50's and VGG-16's.
  config.pool_margin = (1, 1)  # Of 3x3 max-pools: (1, 1) as Keras has it, or (0, 1) as Caffe.
  # Whether stage 5 keeps stage 4's stride, 16 pixels, by dilation; of a VGG, whether stages 4 and 5
  # keep stage 3's, 8 pixels, as in DeepLab-V2.
  config.dilate = True
  # 'coarse': the paper's, at stride 16. 'fine': ours, at stride 4. Without a ConvLSTM: 'fcn32',
  # 'fcn16' and 'fcn8', those of Long et al. by the stride of their finest skip, and 'aspp',
  # DeepLab-V2's.
  config.head = 'coarse'
  config.head_features = 64  # Channels of the fine head, or of fc6 and fc7 in those of others.
  # What a network with a memory has. 'top': the paper's ConvLSTM, at the top stride. 'fine': ours,
  # gates at the strides 8 and 4 of the fine head.
  config.memory = 'top'
  config.kernel_size = (1, 1)  # Of the ConvLSTM and of conv6.
  config.peepholes = True  # Eq. 1's; they bind the ConvLSTM to one image size.
  config.dtype = 'auto'  # Of the computation: 'float32', 'bfloat16', or 'auto': bfloat16 on GPUs.
  # What to start from: Keras's ResNet-50 or VGG-16 (.h5), Yahoo's ResNet of half width (.onnx), or
  # all of a network out of a folder of weights; '' starts from scratch.
  config.pretrained = ''
  return config


def stage(**options: Any) -> ConfigDict:
  """One stage of training: what the two stages differ in, and what they share.

  Args:
    **options: epochs; batch_size; loss (a key of `fmx.losses.LOSSES`) and its margin (g of Eqs. 8
      and 9); groups: pairs (regular expression for whole parameter paths, 'new' or 'rest'), tried
      in order; gamma: multiplies the learning rate of 'rest', and 0 freezes it; batch_statistics:
      whether batch norm uses the batch's own statistics and updates its averages, and dropout, in
      the heads that have it, drops.
  """
  config = ConfigDict(options)
  config.stillness = 0.0  # Weight of what is added to the loss where masks flicker.
  config.optimizer = 'adam'  # 'adam' or 'rmsprop'.
  config.learning_rate = 0.001
  config.schedule = 'linear'  # How it falls to 0: 'linear', or 'cosine' after a warm-up.
  config.l2 = 1e-4  # Added to the gradient of each kernel w as l2 * w.
  config.decay = 0.0  # Of each kernel, decoupled from the gradient: AdamW's.
  config.average = 0.0  # Share that a running mean of the weights keeps a step; 0 has none.
  config.result = 'best'  # Whose weights are handed on: the best epoch's by validation, or 'last'.
  return config


def finder() -> ConfigDict:
  """The training of the finder."""
  config = ConfigDict()
  config.widths = (32, 64, 96, 128)  # Channels at the strides 4, 8, 16 and 32.
  config.blocks = (1, 1, 2, 3)  # Residual blocks there.
  config.features = 64  # Channels from there back to stride 8.
  config.pretrained = ''  # A folder of weights whose finder to start from; '' starts from scratch.
  config.side = 256  # Pixels of a training picture; a multiple of 32.
  config.batch_size = 16  # Pictures, over all devices.
  config.steps = 6000
  config.learning_rate = 0.002  # Of AdamW; rises for `warmup` steps, then falls to 0 by a cosine.
  config.warmup = 200
  config.weight_decay = 0.01
  config.average = 0.998  # Share of the averaged weights that a step keeps.
  config.save_every = 500  # Steps.
  config.shares = shares = ConfigDict()  # How often pictures are drawn from each.
  shares.photographs = 0.6
  shares.videos = 0.3
  shares.drawn = 0.1
  config.drawn_faces = 400  # Different ones.
  config.others = ''  # Faces that nobody annotated: what fmx.finding.unannotated wrote, or ''.
  config.memory = 3000  # MiB of decoded frames that are kept.
  return config


def finder_evaluation() -> ConfigDict:
  """The evaluation of the finder."""
  config = ConfigDict()
  config.split = 'test'  # 'train', 'validation' or 'test'.
  # Detectors of others to compare with: 'libfacedetection', 'CenterFace'.
  config.peers = ()
  return config


def evaluation() -> ConfigDict:
  """Evaluations of all other networks."""
  config = ConfigDict()
  config.split = 'test'  # 'train', 'validation' or 'test'.
  config.batch_size = 2  # Clips of `data.clip_length` frames, over all devices.
  config.state = 'reset'  # The ConvLSTM's: 'reset' at each window, or 'stream' through a clip.
  config.landmarks = False  # With weights: adds the 68-landmark tracker as a row.
  config.hidden = False  # On whole frames: hides a quarter of each face.
  config.spoiled = False  # Of weights: once more, with some frames spoiled.
  config.dense_crf = dense_crf()  # Behind FCNs, as a row of its own.
  return config


def extraction() -> ConfigDict:
  """From a video to its masks."""
  config = ConfigDict()
  config.method = 'network'  # 'network', or 'landmarks': the 68-landmark tracker.
  config.max_faces = 1  # The largest ones.
  config.box = ()  # Of the face in the first frame: x0, y0, x1, y1 in pixels; () finds it.
  config.state = 'stream'  # As evaluation.state, through a shot.
  config.finder = 'auto'  # 'auto' or 'own'; 'CenterFace' or 'libfacedetection' beside it.
  config.zoom = True  # Whether the eyes' and the mouth's own models refine the masks.
  # Any of 'overlay', 'masks', 'measurements', 'cutout' and 'coco'.
  config.outputs = ('overlay', 'masks', 'measurements')
  config.masks = 'png'  # 'png': a file each frame. 'video': one lossless video.
  # What runs the networks: 'xla', 'onnxruntime' or 'openvino' (extra `cpu`; on the CPU), or 'auto',
  # the quickest that is installed: docs/speed.md.
  config.engine = 'auto'
  # Frames after one in which the finder saw a face, in which it does not look while masks are sure
  # without it. Of a window of 5 frames: all of them, so that less than 5 saves nothing.
  config.rest = 0
  # Frames in a row in which a face is lost, or hardly seen, that get the mask between those around
  # them: 0 to 4; 0 leaves them empty.
  config.bridge = 4
  # Share of each mask that is the one before, taken along with the picture where that has not
  # changed: 0 for none, less than 1.
  config.steadiness = 0.8
  # Frames in a row that no network looks at where faces hardly change, 0 to 2: their masks lie
  # between those around them.
  config.skip = 2
  return config


def many() -> ConfigDict:
  """Extraction of many videos."""
  return ConfigDict(
    {
      'pool': 'ray',  # 'ray': workers side by side; 'here': one, in this process, without Ray.
      'workers': 0,  # How many; 0: as many as there is room for.
      'cpus': 1,  # Cores of each. Where there are GPUs, each also has one of its own.
      'shot_frames': 1500,  # A video of more than two times as many is cut at scene changes.
      'tries': 3,  # Workers that may be lost over one video before it counts as failed.
      'out': '',  # Where the folders of masks go, a path or an address; '': the workdir.
    }
  )


def app() -> ConfigDict:
  """The page in the browser."""
  config = ConfigDict()
  config.host = '127.0.0.1'  # Only this machine; '0.0.0.0' lets all others in.
  config.port = 7860
  config.max_megabytes = 200.0  # Of an upload.
  config.max_seconds = 120.0  # Of a video.
  config.max_megapixels = 9.0  # Of a frame; 3840 x 2160 has 8.3.
  config.max_faces = 4  # That a person may ask for.
  config.max_people = 8  # At once, with a folder each.
  config.keep_minutes = 15  # Until the files of a page that was closed are removed.
  config.rest = 2  # As extraction.rest, before a webcam, whose windows have one frame.
  return config


def benchmark() -> ConfigDict:
  """What is timed, and beside what."""
  config = ConfigDict()
  config.steps = 5  # Timed, after the one that compiles.
  config.batch_size = 2  # Frames for the FCN, clips for the ConvLSTM-FCN.
  config.against = ''  # An earlier benchmark.json: adds a column of ratios.
  config.profile = False  # Whether traces are written, and the costliest operations told.
  config.peers = False  # Whether the FCN is compared with PyTorch's and ONNX Runtime's.
  config.devices = ()  # Numbers of devices, as (1, 2, 4), among which training is compared.
  return config


def demo() -> ConfigDict:
  """The drawn faces of the demo."""
  config = ConfigDict()
  config.num_videos = 40
  config.num_frames = 60  # Of each video.
  config.size = 128  # Pixels: height of the videos, roughly.
  config.seed = 0
  config.difficulty = difficulty()
  return config


def augmentation() -> ConfigDict:
  """Random changes of the training windows, one draw each; all off, as in the paper.

  `fmx.data.transforms.Augmentation` says what each does and its range.
  """
  return ConfigDict(
    {
      'flip': 0.0,  # Probability.
      'scale': 0.0,  # Share of the size.
      'shift': 0.0,  # Share of the side.
      'rotation': 0.0,  # Degrees.
      'brightness': 0.0,  # Share of the range.
      'contrast': 0.0,  # Relative.
      'color': 0.0,  # Relative, each channel.
      'saturation': 0.0,  # Relative.
      'blur': 0.0,  # Pixels.
      'noise': 0.0,  # Grey levels.
      'occlusion': 0.0,  # Probability.
      'occlusion_size': 0.4,  # Share of the side.
    }
  )


def dense_crf() -> ConfigDict:
  """The dense CRF of DeepLab-V2, with the numbers of the script `run_densecrf.sh` of its release.

  `fmx.baselines.dense_crf.DenseCRF` says what each does. Pixels are those of the network's input.
  """
  return ConfigDict(
    {
      'apply': False,  # Whether there is that row; it takes 0.1 s a frame of 320 x 320.
      'iterations': 10,
      'position_weight': 3.0,
      'position_deviation': 3.0,  # Pixels.
      'bilateral_weight': 4.0,
      'bilateral_deviation': 49.0,  # Pixels.
      'color_deviation': 5.0,  # Grey levels.
    }
  )


def view() -> ConfigDict:
  """What the virtual camera cuts out of whole frames; nothing varies by default.

  `fmx.data.views.View` says what each means.
  """
  return ConfigDict(
    {
      'region': 'primary',  # 'primary', 'mouth' or 'eye'.
      'margin': 1.45,  # Side over the size of the region.
      'scale': 0.0,  # Relative.
      'shift': 0.0,  # Share of the side.
      'roll': 0.0,  # Degrees, standard deviation.
      'flip': 0.0,  # Probability.
      'people': 0.65,  # Share of the windows with landmarks that people placed.
      'every': 5,  # Of a video, each frame of this number.
      'empty': 0.0,  # Probability of a window without a face.
      'fineness': 1,  # Pixels of the labels to one of the window, along each axis: soft edges.
    }
  )


def spoiling() -> ConfigDict:
  """How windows out of whole frames are spoiled; all off.

  `fmx.data.spoiling.Spoiling` says what each means.
  """
  return ConfigDict(
    {
      'occluders': 0.0,  # Probability.
      'occluder_size': 0.6,  # Share of the side.
      'donors': 0.4,  # Share of the occluders.
      'glasses': 0.0,  # Probability.
      'brightness': 0.0,  # Share of the range.
      'contrast': 0.0,  # Relative.
      'color': 0.0,  # Relative.
      'gamma': 0.0,  # Relative.
      'gray': 0.0,  # Probability.
      'blur': 0.0,  # Pixels.
      'motion_blur': 0.0,  # Probability.
      'low_resolution': 0.0,  # Probability.
      'lowest_resolution': 0.2,  # Share of the side.
      'noise': 0.0,  # Grey levels.
      'jpeg': 0.0,  # Probability.
    }
  )


def difficulty() -> ConfigDict:
  """What disturbs the drawn faces, in events a second of video where nothing else is said.

  `fmx.drawing.disturbances.Difficulty` says what each does.
  """
  return ConfigDict(
    {
      'occlusions': 0.45,
      'long_occlusions': 0.07,
      'occlusion_frames': (2, 6),  # Least and most frames of a brief occlusion.
      'event_frames': (1, 4),  # Least and most frames of every other event.
      'motion_blurs': 0.35,
      'motion_blur_length': 0.1,  # Share of the height.
      'defocusings': 0.2,
      'defocus_radius': 0.02,  # Share of the height.
      'darkenings': 0.15,
      'darkest': 0.08,  # Share of the light that is left.
      'flashes': 0.15,
      'flash_gain': 3.5,  # Times the light.
      'dropouts': 0.3,
      'dropout_blocks': 22,  # Along the height.
      'noise': 7.0,  # Grey levels.
      'poor_video': 0.35,  # Share of the videos.
    }
  )
